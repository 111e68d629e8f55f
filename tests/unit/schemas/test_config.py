"""The configuration's own checks and defaults. How they are told to the user: test_loading.py."""

import pytest
from pydantic import ValidationError

from schemas.config import Config
from schemas.dataset import Layout
from schemas.protection import Protection
from schemas.training import Train

SMALL = {
    "dataset": {"shards": "raw/{000..009}.tar"},
    "tasks": [{"field": "json.shape", "classes": 3}, {"field": "json.colour", "classes": 4}],
    "output": "s3://bucket/flowers-v2/",
}


def config(**changes):
    return Config.model_validate({**SMALL, **changes})


@pytest.mark.parametrize(
    ("written", "epsilon", "bound"),
    [
        ("8/255", 8 / 255, 8),
        (" 8 / 255 ", 8 / 255, 8),
        (8 / 255, 8 / 255, 8),
        (0.05, 0.05, 12),
        ("0.05", 0.05, 12),
        ("1/255", 1 / 255, 1),
        ("32/255", 32 / 255, 32),
        (0.0313, 0.0313, 7),
        (0.0314, 0.0314, 8),
    ],
)
def test_epsilon_as_number_or_fraction_gives_the_integer_bound(written, epsilon, bound):
    protection = Protection(epsilon=written)
    assert protection.epsilon == pytest.approx(epsilon, abs=1e-12)
    assert protection.bound == bound


@pytest.mark.parametrize("levels", range(1, 33))
def test_bound_of_every_whole_level_is_that_level(levels):
    # 255 · (n/255) falls below n for some n in floating point; the bound must not lose a level.
    assert Protection(epsilon=f"{levels}/255").bound == levels
    assert Protection(epsilon=levels / 255).bound == levels


@pytest.mark.parametrize("written", [0, 8, -0.03, "1/256", "33/255", float("nan"), float("inf"), "1e9"])
def test_epsilon_outside_1_to_32_levels_is_refused(written):
    with pytest.raises(ValidationError, match="between 1/255 and 32/255"):
        Protection(epsilon=written)


@pytest.mark.parametrize("written", ["eight", "8/0", "8/255/2", "", True, None, [8, 255]])
def test_epsilon_that_is_no_number_is_refused(written):
    with pytest.raises(ValidationError, match="number or a fraction such as 8/255; found"):
        Protection(epsilon=written)


def test_three_keys_suffice_and_the_rest_has_the_documented_defaults():
    small = config()
    assert small.name == "flowers-v2"
    assert small.work.startswith(".mtlue/flowers-v2-")
    assert [task.name for task in small.tasks] == ["shape", "colour"]
    assert small.protection.bound == 8
    assert small.protected_tasks == [True, True]
    assert small.train.perturber == "codes"
    assert (small.train.method, small.protect.encoding, small.compute.address) == ("em", "png", "local")
    assert small.dataset.image_fields == ("jpg", "jpeg", "png", "webp")
    assert small.audit is None


@pytest.mark.parametrize(
    ("output", "name"),
    [("s3://bucket", "bucket"), ("out/faces", "faces"), ("out/my faces (2)", "my-faces--2-"), ("/", "dataset")],
)
def test_name_is_made_from_output(output, name):
    assert config(output=output).name == name


def test_given_name_and_work_are_kept():
    named = config(name="faces", work="s3://private/faces")
    assert (named.name, named.work) == ("faces", "s3://private/faces")
    assert config(name="faces").work.startswith(".mtlue/faces-")


def test_two_outputs_with_one_last_part_do_not_share_a_private_place():
    assert config(output="s3://a/protected").work != config(output="s3://b/protected").work


@pytest.mark.parametrize("written", [[], "", [""]])
def test_no_shards_at_all_are_refused(written):
    with pytest.raises(ValidationError):
        config(dataset={"shards": written})


@pytest.mark.parametrize("output", ["", "   "])
def test_an_output_that_names_nothing_is_refused(output):
    with pytest.raises(ValidationError):
        config(output=output)


@pytest.mark.parametrize("name", [".", "..", ".hidden"])
def test_a_name_that_leads_elsewhere_is_refused(name):
    with pytest.raises(ValidationError):
        config(name=name)


def test_many_protected_tasks_have_twice_the_rounds_unless_a_number_is_given():
    many = [{"field": f"json.{name}", "classes": 3} for name in "abcde"]
    assert config().train.rounds == config(tasks=many[:4]).train.rounds == 12
    assert config(tasks=many).train.rounds == config(tasks=many, train={"seed": 1}).train.rounds == 24
    assert config(tasks=many, protection={"tasks": ["a", "b", "c", "d"]}).train.rounds == 12
    assert config(tasks=many, train={"rounds": 12}).train.rounds == 12
    findings = {"name": "findings", "kind": "multilabel", "field": "json.findings", "findings": list("abcde")}
    assert config(tasks=[findings], train={"perturber": "codes"}).train.rounds == 24


def test_infinite_weights_are_refused():
    with pytest.raises(ValidationError):
        config(train={"perturber": "generator", "lambda_intra": float("inf")})


def test_some_tasks_can_be_left_unprotected():
    assert config(protection={"tasks": ["colour"]}).protected_tasks == [False, True]


@pytest.mark.parametrize(("tasks", "found"), [(["shape", "size"], "size"), ([], "no task")])
def test_unknown_or_no_protected_tasks_are_refused_with_the_known_ones(tasks, found):
    with pytest.raises(ValidationError, match=rf"{found}.*shape, colour"):
        config(protection={"tasks": tasks})


def test_two_tasks_of_one_name_are_refused():
    tasks = [{"field": "json.a.label", "classes": 2}, {"field": "json.b.label", "classes": 2}]
    with pytest.raises(ValidationError, match="found twice: label; set `name`"):
        config(tasks=tasks)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ({"image": "json;png"}, "is the image"),
        ({"members": {"json": "drop"}}, "which dataset.members drops"),
        ({"members": {"json.shape": "drop"}}, "reads 'json.shape', and dataset.members drops 'json.shape'"),
        ({"members": {"json.shape.x": "drop"}}, "and dataset.members drops 'json.shape.x'"),
        ({"members": {"json.*": "drop"}}, "write `json: drop`"),
        ({"members": {"left.json": "drop", "left.json.url": "keep"}}, "'left.json.url' is a key of 'left.json', which"),
        ({"members": {"png": "keep"}}, "dataset.members names 'png'"),
        ({"image": " ; "}, "names no member"),
        ({"members": {"seg.png": "blur"}}, "'keep' or 'drop'"),
    ],
)
def test_image_labels_and_members_must_not_contradict_each_other(dataset, message):
    with pytest.raises(ValidationError, match=message):
        config(dataset={**SMALL["dataset"], **dataset})


def test_image_alternatives_are_read_with_spaces_and_dots():
    assert config(dataset={"shards": "x", "image": ".JPG; left.png;"}).dataset.image_fields == ("JPG", "left.png")


@pytest.mark.parametrize("name", ["*.txt", "*", " txt", "", "j*.a", ".*"])
def test_a_name_that_no_member_can_have_is_refused(name):
    with pytest.raises(ValueError, match="names no member"):
        Layout(members={name: "drop"})


def test_a_member_may_be_written_with_its_dot_but_not_twice():
    assert Layout(members={".txt": "drop", "seg.png": "keep"}).members == {"txt": "drop", "seg.png": "keep"}
    with pytest.raises(ValueError, match="twice"):
        Layout(members={".txt": "drop", "txt": "keep"})


@pytest.mark.parametrize("image", ["jpg, png", "*.jpg", "jpg|png"])
def test_an_image_that_is_no_exact_field_is_refused(image):
    with pytest.raises(ValueError, match="`;` between alternatives"):
        Layout(image=image)


@pytest.mark.parametrize(
    ("generator", "resolution", "nearest"), [("small", 33, 32), ("tiny", 50, 48), ("large", 36, 32)]
)
def test_resolution_that_the_generator_cannot_halve_is_refused_with_the_nearest(generator, resolution, nearest):
    with pytest.raises(ValidationError, match=rf"found {resolution}, the nearest is {nearest}"):
        Train(perturber="generator", generator=generator, resolution=resolution)
    assert Train(perturber="generator", generator=generator, resolution=nearest).resolution == nearest


def test_an_audit_needs_no_held_out_data_of_its_own():
    assert config(audit={}).audit is not None
    audited = config(audit={}, dataset={**SMALL["dataset"], "test_shards": "test/*.tar"})
    assert audited.audit is not None


@pytest.mark.parametrize("section", ["dataset", "protection", "train", "protect", "compute"])
def test_unknown_key_is_refused_in_every_section(section):
    with pytest.raises(ValidationError, match="surprise"):
        config(**{section: {**SMALL.get(section, {}), "surprise": 1}})


def test_configuration_cannot_be_changed_after_it_was_checked():
    with pytest.raises(ValidationError, match="frozen"):
        config().train.epochs = 1


def test_configuration_survives_json():
    made = config(train={"rounds": 3})
    assert Config.model_validate_json(made.model_dump_json(exclude_unset=True)) == made


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"work": "s3://bucket/work"}, "dataset.shards"),
        ({"dataset": {"shards": "s3://bucket/raw/"}}, "work"),
        ({"dataset": {"shards": "s3://bucket/raw/"}, "work": "s3://b/w", "output": "file:///data"}, "output"),
        ({"dataset": {"shards": ["s3://bucket/raw/", "/raw/"]}, "work": "s3://b/w"}, "dataset.shards"),
    ],
)
def test_a_local_place_is_refused_where_the_workers_share_no_disk(changes, named):
    with pytest.raises(ValidationError, match=rf"{named} \(.*lies on a local disk"):
        config(**changes, compute={"address": "ray://head:10001"})


def test_stores_suffice_where_the_workers_share_no_disk():
    found = config(dataset={"shards": "s3://bucket/raw/"}, work="s3://b/w", compute={"address": "ray://head:10001"})
    assert found.compute.address == "ray://head:10001"
