"""Protect images that are already in memory: arrays in, arrays out.

python examples/arrays.py
"""

import numpy as np

import mtlue

# 64 pictures of 32 px with a label for each of two tasks; yours come from wherever you have them.
rng = np.random.default_rng(0)
images = rng.integers(0, 256, size=(64, 32, 32, 3), dtype=np.uint8)
labels = {
    "shape": [["disc", "square", "star"][number % 3] for number in range(64)],
    "striped": [number % 2 for number in range(64)],
}

perturber = mtlue.fit(images, labels, train={"rounds": 2, "resolution": 32})
protected = perturber.protect(images, labels)
perturber.save("perturber.safetensors")  # the secret: whoever has it can undo the protection

change = np.abs(protected.astype(int) - images)
print(f"{len(protected)} images, largest change {change.max()} of 255, mean {change.mean():.1f}")
