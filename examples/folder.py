"""Protect a folder of pictures on this machine: draw a small dataset, protect it, read it back.

python examples/folder.py
"""

import subprocess
import sys

import mtlue

# 256 drawn pictures as shards; yours are .tar (WebDataset) or .parquet files in one folder.
drawn = [sys.executable, "-m", "mtlue", "import", "outlines", "--out", "shards", "--train", "256", "--test", "64"]
subprocess.run(drawn, check=True)  # noqa: S603

config = {
    "dataset": {"shards": "shards/train-*.tar", "image": "png"},
    "tasks": [{"field": "json.body-1", "classes": 10}, {"field": "json.body-2", "classes": 10}],
    "train": {"rounds": 2, "resolution": 32},
    "output": "protected",
    "work": "private",
}
print(f"a run would take about {mtlue.plan(config).protect_core_seconds:.0f} core seconds to protect them")
result = mtlue.run(config)
print(f"{result.manifest.samples} samples in {len(result.records)} shards, report in {result.report}")
print(f"problems: {mtlue.verify('protected', config).problems}")
