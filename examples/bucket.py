"""Protect a dataset in a bucket, from a bucket to a bucket; credentials come from the environment.

export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…
python examples/bucket.py s3://raw/faces s3://public/faces s3://private/faces
"""

import sys

import mtlue

source, output, work = sys.argv[1:4]
config = {
    "dataset": {"shards": f"{source}/train-*.tar", "test_shards": f"{source}/test-*.tar"},
    "tasks": [{"kind": "binary", "field": "json.Smiling"}, {"kind": "binary", "field": "json.Male"}],
    "audit": {"require": {}},  # publish only what victims that were never seen in training cannot learn from
    "output": output,
    "work": work,
}
result = mtlue.run(config)
print(f"{result.evidence.word}: {result.evidence.sentence}")
