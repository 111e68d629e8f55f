"""The configuration of trainings: of the perturber (`train`), and of the victims that judge it (`audit`)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, ValidationInfo, field_validator, model_validator

from schemas.model import Model
from schemas.perturbers import SETTINGS, MethodName, PerturberName, Settings, has_part, no_part
from schemas.plugins import COUNTERMEASURES, WEIGHTINGS, Offered, or_installed

Backbone = Literal[
    "resnet18", "resnet50", "vgg16", "densenet121", "vit_b_16", "stride5", "plain", "dilated_resnet50", "unet"
]
"""Networks of surrogates and victims. `stride5` and `plain` are small ones, for victims unlike every surrogate.
`dilated_resnet50` and `unet` have the fine maps that dense tasks want."""


OwnWeighting = Literal["ls", "rlw", "uw", "aligned_mtl", "fairgrad"]
"""How the losses of several tasks become one step: by equal weights (ls), random ones (rlw) or learned variances (uw).
Or by gradients: aligned (aligned_mtl), or such that every task improves at a fair rate (fairgrad)."""

WeightingName = Annotated[OwnWeighting, or_installed(WEIGHTINGS), Offered(WEIGHTINGS)]
"""Our own, or one of an installed package."""


Distorting = Literal["jpeg", "blur", "resize", "gray", "band"]
"""What δ is trained to survive (`stages/transforms/differentiable.py`)."""


OwnCountermeasure = Literal[
    "none", "gray", "jpeg95", "jpeg75", "jpeg50", "jpeg10", "webp75", "bits2", "bits3", "bits4", "bits5", "blur",
    "median", "down_up", "low_pass", "high_pass", "half_size", "larger", "jitter", "cutout", "ueraser", "mixup",
    "cutmix", "adversarial4", "adversarial8", "staged", "projection", "mean_projection", "class_means", "class_means_8",
    "clean_samples", "pretrained", "pretrained_frozen", "purifier",
    "averaged_pair", "coverage80", "coverage60", "coverage40", "coverage20",
]  # fmt: skip
"""What an attacker does before or while training (`stages/countermeasures/`); `none` is the plain victim."""

CountermeasureName = Annotated[OwnCountermeasure, or_installed(COUNTERMEASURES), Offered(COUNTERMEASURES)]
"""Our own, or one of an installed package."""

LeakName = Literal["detectable", "delta_alone", "unlisted"]
"""What a protection may give away (`stages/audit/leak_tests.py`)."""

SNAPSHOTS = 15
"""Snapshots of one training that SEP uses, saved evenly along it; one a pass where it has fewer passes."""


class Train(Model):
    """How the perturber is trained. A setting that decides nothing in it is refused (`schemas/perturbers.py`)."""

    perturber: PerturberName = "codes"
    """The perturber, which computes δ. `codes`: class codes, learned against fresh small networks; quick, and strong
    against architectures that training never saw, but undone by gray on photographs (docs/results.md). `generator`: the
    paper's, which also sees the image; the default where most of the protected tasks are yes/no
    (`protection.withstand`). `pil`: sign steps per image against linear heads. For comparison: sign steps per image
    against surrogates (em-, tap-, sep-sample), and patterns without training (floor, lsp, ar)."""

    rounds: int = Field(default=12, ge=1)
    """Fresh networks that codes are learned against, one after the other. The default is 24 where more than four tasks
    are protected: with eight tasks 12 are too few (docs/results.md)."""

    method: MethodName = "em"
    """Base method of a generator. `em`: error-minimising against surrogates that keep learning; `fresh`: against fresh
    small networks, as class codes are. `tap`: adversarial poisoning; `sep`: the same against the snapshots of one
    training. `pil`: minus what linear heads take for the class."""

    targeted: bool = True
    """Whether `tap` and `sep` pull each image to another class (y' = y + ⌊C/2⌋), or only push it away from its own."""

    backbones: list[Backbone] = Field(default=["resnet18"], min_length=1)
    """Surrogates of a generator; with several, each step uses the next one."""

    width: int = Field(default=64, ge=4, le=256)
    """Channels of the surrogate's first stage; 64 is the standard ResNet, 8–16 trains on a CPU."""

    weights: dict[Backbone, Annotated[str, Field(pattern=r"\.safetensors$")]] = Field(default_factory=dict)
    """Architecture → local file that its surrogate starts from, with the names of torchvision's network (whose `width`
    is 64) or with ours. The others start from random weights."""

    generator: Literal["tiny", "small", "large"] = "small"
    """Preset of encoder, embeddings and decoder; `tiny` is for CPUs, `large` for images from about 128 px."""

    resolution: int = Field(default=64, ge=16, le=1024)
    """R, the side in pixels at which the generator works; a multiple of 4 (tiny, small) or 8 (large)."""

    epochs: int = Field(default=60, ge=1)
    """Passes of the generator over the training cache."""

    batch_size: int = Field(default=128, ge=2)
    """Images in a batch."""

    surrogate_epochs: int = Field(default=60, ge=1)
    """Passes over the clean data of the surrogates before the generator starts (tap, sep), or of linear heads (pil)."""

    weighting: WeightingName = "ls"
    """Task weighting of the surrogates."""

    augment: list[Literal["crop", "flip"]] = Field(default=["crop", "flip"])
    """Augmentation of surrogates and victims; leave `flip` out where a task speaks of left and right."""

    robust: list[Distorting] = Field(default_factory=list)
    """What δ is trained to survive: at each step the networks see the images as they are, or changed by one of these.
    It costs strength where nothing is done to the images (docs/results.md)."""

    achromatic: bool = False
    """One δ for all channels: it survives an attacker who turns the images gray. Classes then differ in a third of the
    values (docs/results.md)."""

    surrogate_sizes: list[Annotated[float, Field(ge=0.25, le=1)]] = Field(default=[1.0], min_length=1)
    """Shares of the side at which the surrogates see the images. With `[1, 0.5]` δ survives half the size, for a fifth
    more time (docs/results.md)."""

    cell: int = Field(default=1, ge=1, le=16)
    """Side in pixels, at `resolution`, of the squares in which δ has one value: larger ones survive smaller images."""

    lambda_intra: float = Field(default=10.0, ge=0, allow_inf_nan=False)
    """λ1, weight of the intra-task embedding regularisation."""

    lambda_inter: float = Field(default=200.0, ge=0, allow_inf_nan=False)
    """λ2, weight of the inter-task embedding regularisation."""

    max_samples: int = Field(default=200_000, ge=1)
    """Images in the training cache at most; larger datasets are sampled by key hash."""

    seed: int = Field(default=0, ge=0)
    """Seed of the whole run; every other seed derives from it."""

    @property
    def surrogates(self) -> list[Backbone]:
        """Architectures that the training learns against, besides its own small networks."""
        return self.backbones if has_part("backbones", self.perturber, self.method) else []

    @property
    def preset(self) -> str:
        """Widths of the generator's network; empty where the perturber has none."""
        return self.generator if has_part("generator", self.perturber, self.method) else ""

    @property
    def kept_surrogates(self) -> dict[str, Any]:
        """What a specification says of surrogates that the perturber needs even when it computes δ."""
        row = SETTINGS.get(self.perturber, Settings())
        if not row.keeps_surrogates:
            return {}
        copies = min(SNAPSHOTS, self.surrogate_epochs) if row.snapshots else 1
        return {"backbones": self.backbones, "width": self.width, "copies": copies, "targeted": self.targeted}

    @field_validator("*")
    @classmethod
    def _has_a_part(cls, value: Any, info: ValidationInfo) -> Any:
        """Called for what was given only. Where `perturber` or `method` is wrong, their own error is enough."""
        key = info.field_name or ""
        needed = ("perturber",) if key in ("rounds", "method") else ("perturber", "method")
        if key != "perturber" and all(name in info.data for name in needed):
            perturber, method = info.data["perturber"], info.data.get("method", "")
            if perturber in SETTINGS and not has_part(key, perturber, method):  # another package's takes what it likes
                raise ValueError(no_part(key, perturber, method))
        return value

    @model_validator(mode="after")
    def _weights_are_of_surrogates(self) -> Train:
        for name in self.weights:
            if name not in self.surrogates:
                learned = ", ".join(self.surrogates) or "none"
                raise ValueError(
                    f"weights names {name}, which is no surrogate of this training (surrogates: {learned}); name it in "
                    "backbones, or leave it out"
                )
        return self

    @model_validator(mode="after")
    def _resolution_fits_generator(self) -> Train:
        step = 8 if self.generator == "large" else 4
        if self.resolution % step:
            near = max(16, round(self.resolution / step) * step)
            raise ValueError(
                f"resolution must be a multiple of {step} for generator {self.generator!r}; "
                f"found {self.resolution}, the nearest is {near}"
            )
        return self


class Requirement(Model):
    """What the evidence must show before anything is published."""

    metric: str | None = None
    """Figure of the strongest victim on clean held-out data. Left out, and in tasks without it: the one that decides
    the verdict, such as balanced accuracy for classes or mean absolute error for numbers."""

    max_over_chance: float = Field(default=0.15, gt=0, lt=1)
    """How far a victim trained on protected images may get beyond chance, in every task that is to be protected. A
    share in 0..1; for an error, the share of the chance line's error that is gone. Clean training must get further, or
    nothing is proven: keep it well below 1 - chance."""

    max_share_left: float | None = Field(default=None, gt=0, le=1)
    """Largest share of what clean training gains over chance that a victim trained on protected images may keep."""

    countermeasures: Literal["all"] | list[CountermeasureName] = "all"
    """What must not help an attacker; `all`: everything in `audit.countermeasures` that needs no originals. A named
    countermeasure that was not run is a shortfall."""

    epoch: Literal["best", "last"] = "best"
    """Epoch that counts; `best`: the best one for an attacker, who can stop early."""


ON_REQUEST: tuple[CountermeasureName, ...] = ("averaged_pair",)
"""Countermeasures that `all` leaves out: they train another generator first."""

WITH_WEIGHTS: tuple[CountermeasureName, ...] = ("pretrained", "pretrained_frozen")
"""Countermeasures that start from weights trained elsewhere."""


class Pretrained(Model):
    """Weights on this machine that an attacker may start from."""

    backbone: Backbone
    """The network that they are of."""

    weights: str = Field(pattern=r"\.safetensors$")
    """Path of a local `.safetensors` file with the names of torchvision's network, or with ours."""

    width: int = Field(default=64, ge=4, le=256)
    """Channels of its first stage; torchvision's networks have 64."""


class Audit(Model):
    """How protection is measured."""

    victims: Literal["auto"] | Annotated[list[Backbone], Field(min_length=1)] = "auto"
    """Models that an unauthorised user might train. `auto`: three architectures that no surrogate has, and one that a
    surrogate has. A victim that is like the surrogate flatters the protection."""

    learning_rates: list[Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(default=[1e-3, 3e-3], min_length=1)
    """Of the victims, one training each on clean, noise and protected data: of each version the strongest counts."""

    seeds: int = Field(default=1, ge=1, le=20)
    """Trainings of each victim, each from its own seed. The strongest counts; the report has their mean and spread."""

    width: int = Field(default=64, ge=4, le=256)
    """Channels of the victim's first stage."""

    epochs: int = Field(default=12, ge=1)
    """Passes of each victim over its training data."""

    batch_size: int = Field(default=128, ge=2)
    """Images in a victim's batch."""

    weighting: WeightingName = "ls"
    """Task weighting of the multi-task victims."""

    countermeasures: Literal["all"] | list[CountermeasureName] = Field(default_factory=list)
    """What the strongest victim also tries, on clean and on protected data; the verdict counts the strongest result.
    Those that need originals (`clean_samples`, `purifier`, `coverage…`) are shown and do not count. `all` leaves out
    `averaged_pair`, which trains a second generator: name it."""

    pretrained: Pretrained | None = None
    """Weights from which another victim starts: fine-tuned (countermeasure `pretrained`), and with a frozen backbone
    (`pretrained_frozen`). Both are tried on clean and on protected data, and both count. None: every victim starts from
    random weights."""

    leaks: list[LeakName] = Field(default=["detectable", "delta_alone", "unlisted"])
    """Tests of what the protection gives away. `detectable`: a linear model that separates protected from clean images;
    `delta_alone`: what δ alone predicts; `unlisted`: what remains of tasks that are left open. Each takes seconds, and
    none counts in the verdict."""

    stl: bool = False
    """Also train a single-task victim for each task, which sees no other task's labels; K times the cost."""

    resolution: int | None = Field(default=None, ge=16, le=1024)
    """Side in pixels at which victims train; None: `train.resolution`."""

    max_samples: int = Field(default=50_000, ge=1)
    """Training images that a victim sees at most."""

    require: Requirement | None = None
    """A bound that gates publishing: when it is not met, the run ends with exit code 1 and nothing new is public."""

    @property
    def tried(self) -> list[CountermeasureName]:
        """Countermeasures that are tried, each once."""
        names = get_args(OwnCountermeasure) if self.countermeasures == "all" else self.countermeasures
        others = [name for name in dict.fromkeys(names) if name not in ("none", *WITH_WEIGHTS)]
        if self.countermeasures == "all":
            others = [name for name in others if name not in ON_REQUEST]
        return [*others, *(WITH_WEIGHTS if self.pretrained is not None else ())]

    @model_validator(mode="after")
    def _required_are_tried(self) -> Audit:
        without = [name for name in WITH_WEIGHTS if self.pretrained is None and name in self.countermeasures]
        if without:
            raise ValueError(f"countermeasures names {without[0]}, which needs audit.pretrained: {{backbone, weights}}")
        wanted = self.require.countermeasures if self.require is not None else "all"
        unknown = [name for name in wanted if name not in self.tried and name != "none"] if wanted != "all" else []
        if unknown:
            raise ValueError(
                f"require.countermeasures names {', '.join(unknown)}, which countermeasures does not; add it there"
            )
        return self
