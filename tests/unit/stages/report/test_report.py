import base64
import hashlib
import io
import re
from collections import Counter
from collections.abc import Sequence
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from pipeline.configuration.plans import report_plan
from schemas.config import Config
from schemas.evidence import Evidence
from schemas.plans import GeneratorSpec
from schemas.records import GeneratorRecord, Quarantined, ShardFailure, ShardProfile, ShardRecord
from schemas.stats import Moments
from schemas.training import Requirement
from stages.audit.verdict import NOT_MEASURED, held_against, reach_verdict
from stages.report.pictures import Pair, difference
from stages.report.report import build_report
from stages.report.report_input import ReportInput
from tests.evidence import TASKS, Curves, victims

VOID = {"meta", "br", "img", "link", "hr", "input", "path", "use", "rect"}


def make_config(**changes) -> Config:
    return Config.model_validate(
        {
            "name": "street-scenes",
            "dataset": {
                "shards": "s3://reader:hunter2@raw/{00000..00001}.tar?X-Amz-Signature=s1gned",
                "test_shards": "s3://raw/test.tar",
                "storage": {"endpoint_url": "https://root:t0psecret@minio.internal:9000"},
            },
            "tasks": TASKS,
            "output": "s3://public/scenes",
            "work": "s3://writer:hunter2@private/scenes",
            **changes,
        }
    )


def evidence(protected: tuple[Curves, Curves], wanted: Sequence[bool] = (True, True)) -> Evidence:
    return reach_verdict(TASKS, wanted, victims(protected), fingerprint="f")


def make_generator(**changes) -> GeneratorRecord:
    spec = GeneratorSpec(
        preset="tiny", resolution=64, epsilon=8 / 255, tasks=TASKS, protected=[True, True], balanced=True
    )
    losses = [{"total": 2.0, "base": 1.0}, {"total": 1.0, "base": 0.5}]
    given = {"fingerprint": "f", "plan": "p", "sha256": "b", "spec": spec, "samples": 100, "steps": 7, "seconds": 1.0}
    return GeneratorRecord(**{**given, "losses": losses, **changes})


def make_report(**changes) -> str:
    moments = Moments().add(64.0)
    quarantined = [
        Quarantined(shard="0.tar", key=f"k{index:03d}", reason="corrupt-image", message="found 3 bytes")
        for index in range(60)
    ]
    rng = np.random.default_rng(0)
    clean = rng.integers(20, 200, (8, 8, 3)).astype(np.uint8)
    given = {
        "plan": report_plan(make_config()),
        "profiles": [
            ShardProfile(
                name="0.tar", samples=100, bytes=1000, sha256="a", modes={"RGB": 100}, height=moments, width=moments,
                histograms={"shape": [90, 3], "size": [10] * 10}, missing={"shape": 7, "size": 0},
                quarantined=quarantined,
            )
        ],
        "generator": make_generator(),
        "records": [
            ShardRecord(
                identity="i", name="0.tar", source_sha256="c", sha256="d", bytes=9000, samples=100, max_delta=8,
                psnr=Moments().add(33.0).add(35.0), delta=Moments().add(4.0), quarantined=quarantined,
            )
        ],
        "failures": [],
        "evidence": evidence(([0.55, 0.52], [0.12, 0.11])),
        "pictures": [Pair("k<script>alert(1)</script>", clean, clean + np.uint8(5), (("mask", 255 - clean),))],
        "seconds": {"train": 65.0},
        **changes,
    }  # fmt: skip
    return build_report(ReportInput(**given))


class Page(HTMLParser):
    """What a browser would make of the report: tags that nest, their attributes, and the text that is shown."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.shown: list[str] = []
        self.feed(text)
        self.close()
        self.text = " ".join(" ".join(self.shown).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open, f"</{tag}> closes nothing"
            assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.shown.append(data)


def test_environment_names_the_seeds_of_victims_and_what_delta_was_made_to_survive():
    page = Page(make_report(plan=report_plan(make_config(train={"robust": ["gray", "blur"]}))))
    assert "class codes against 12 fresh networks, made to survive gray, blur" in page.text
    assert "Victims 3, seeds 0" in page.text


@pytest.mark.parametrize(
    ("train", "method"),
    [
        (
            {"achromatic": True, "cell": 2},
            "class codes against 12 fresh networks, one δ for all channels, cells of 2 px",
        ),
        ({"perturber": "generator", "method": "tap", "width": 8}, "TAP, surrogates resnet18, width 8"),
        ({"perturber": "generator", "method": "fresh"}, "FRESH in a generator"),
        ({"perturber": "em-sample", "width": 8}, "EM per sample, surrogates resnet18, width 8"),
        ({"perturber": "pil", "surrogate_epochs": 9}, "linear inducement, heads trained for 9 passes"),
        ({"perturber": "floor"}, "the pattern 'floor', which nothing was trained for"),
    ],
)
def test_environment_names_the_method_of_every_kind(train, method):
    assert method in Page(make_report(plan=report_plan(make_config(train=train)))).text


@pytest.mark.parametrize(("share", "warned"), [(0.29, True), (0.8, False), (None, False)])
def test_training_says_how_much_of_delta_the_labels_explain_and_warns_below_one_half(share, warned):
    page = make_report(generator=make_generator(explained=share))
    said = "The labels explain" in page
    assert said == (share is not None)
    assert ("<strong>Warning:</strong> the labels explain" in page) == warned


def test_verdict_stands_in_words_at_the_top_and_beside_every_task():
    page = Page(make_report(evidence=evidence(([0.9, 0.9], [0.7, 0.7]))))
    assert "These images are not protected: victims" in page.text
    assert page.text.count("not protected") >= 4
    left_open = evidence(([0.55, 0.52], [0.7, 0.7]), wanted=[True, False])
    assert "left open on purpose" in make_report(evidence=left_open)
    assert "left open on purpose" not in make_report()


def test_evidence_that_falls_short_of_what_was_asked_is_shouted_with_every_reason():
    held = held_against(evidence(([0.9, 0.9], [0.7, 0.7])), Requirement())
    assert len(held.shortfalls) == 2
    page = Page(make_report(evidence=held, records=[]))
    assert "Not published." in page.text
    for shortfall in held.shortfalls:
        assert " ".join(shortfall.split()) in page.text
    met = held_against(evidence(([0.55, 0.52], [0.12, 0.11])), Requirement())
    assert "Not published." not in Page(make_report(evidence=met)).text


def test_without_an_audit_the_report_says_that_nothing_was_measured():
    page = Page(make_report(evidence=NOT_MEASURED))
    assert "not measured" in page.text
    assert "No audit was run" in page.text


def test_report_is_one_well_formed_file_that_asks_nothing_of_the_network():
    text = make_report()
    page = Page(text)
    assert page.open == []
    ids = Counter(attributes["id"] for _, attributes in page.tags if attributes.get("id"))
    assert max(ids.values()) == 1
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "base"}
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "action", "srcset"):
            address = attributes.get(name) or ""
            assert not address or address.startswith(("data:image/png;base64,", "#")), f"<{tag} {name}={address}>"
    assert "@import" not in text
    assert set(re.findall(r"url\(([^)]?)", text)) <= {"#"}


def test_the_contents_list_names_every_section_and_leads_to_it():
    page = Page(make_report())
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a" and attributes.get("href")]
    titles = [attributes["id"] for tag, attributes in page.tags if tag == "h2"]
    assert [link.removeprefix("#") for link in links] == titles
    assert {"summary", "audit", "pictures", "limits"} <= set(titles)


def test_the_cover_says_in_plain_words_what_was_done_what_the_test_showed_and_what_it_does_not_show():
    page = Page(make_report())
    assert "100 images of the dataset “street-scenes” were changed before publication" in page.text
    assert "every colour value by at most 8 of 255 steps" in page.text
    assert "the strongest model trained on protected images reached 33.5\u00a0% (balanced accuracy)".replace(
        "\u00a0", " "
    ) in page.text.replace("\u00a0", " ")
    assert "It is no guarantee against others, and it is no anonymisation" in page.text
    assert "Nothing was published by this run." in Page(make_report(records=[])).text
    assert "No test was made" in Page(make_report(evidence=NOT_MEASURED)).text


def test_the_report_names_the_digests_that_the_certificate_binds():
    page = Page(make_report(manifest=b"{}"))
    assert f"Manifest, SHA-256 {hashlib.sha256(b'{}').hexdigest()}" in page.text
    shown = evidence(([0.55, 0.52], [0.12, 0.11])).model_dump_json(indent=1).encode()
    assert f"Evidence, SHA-256 {hashlib.sha256(shown).hexdigest()}" in page.text
    assert "SHA-256" not in Page(make_report()).text


def test_every_text_of_the_data_is_escaped():
    evil = "<script>alert(1)</script>"
    text = make_report(
        failures=[ShardFailure(name=evil, stage=evil, error=evil, message=evil)],
        seconds={evil: 1.0},
        pictures=[Pair(f'"{evil}', np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2, 3), np.uint8))],
    )
    assert "<script" not in text
    page = Page(text)
    assert evil in page.text
    assert {attributes["alt"] for tag, attributes in page.tags if tag == "img"} == {
        f'{kind}, sample "{evil}' for kind in ("Clean", "Protected", "Difference ×16")
    }


def test_no_credential_is_printed():
    message = "cannot read s3://reader:hunter2@raw/0.tar?X-Amz-Signature=s1gned; try again"
    text = make_report(failures=[ShardFailure(name="0.tar", stage="protect", error="StoreError", message=message)])
    assert not re.search("hunter2|s1gned|t0psecret", text)
    assert "s3://raw/0.tar" in text


def test_pictures_show_the_very_pixels_the_amplified_difference_and_labels_per_pixel():
    clean = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    protected = clean + np.uint8(7)
    mask = np.full((4, 4, 3), 99, np.uint8)
    page = Page(make_report(pictures=[Pair("k", clean, protected, (("mask", mask),))]))
    sources = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    for source, pixels in zip(sources, (clean, protected, difference(clean, protected), mask), strict=True):
        with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as shown:
            assert (np.asarray(shown)[::64, ::64] == pixels).all()


def test_samples_met_by_two_stages_are_counted_once_and_the_list_is_cut_at_fifty():
    page = Page(make_report())
    assert "60 samples could not be protected" in page.text
    assert "The first 50 of 60" in page.text
    assert "k049" in page.text
    assert "k050" not in page.text


def test_a_broken_bound_and_failed_shards_are_shouted():
    record = ShardRecord(
        identity="i", name="1.tar", source_sha256="", sha256="", bytes=1, samples=1, max_delta=9,
        psnr=Moments().add(float("inf")), delta=Moments().add(0.0),
    )  # fmt: skip
    failure = ShardFailure(name="2.tar", stage="ingest", error="E", message="m")
    text = Page(make_report(records=[record], failures=[failure]))
    assert "The bound does not hold" in text.text
    assert "Not complete. 1 of 2 shards" in text.text
    assert "mean ∞ dB" in text.text
    later = failure.model_copy(update={"name": "0.tar", "stage": "protect"})  # it has a profile
    assert "Not complete. 1 of 1 shards" in Page(make_report(records=[], failures=[later])).text


def test_sections_come_in_the_order_a_decision_needs():
    text = make_report()
    order = ("Verdict", "summary", "audit", "pictures", "labels", "sizes", "quarantine", "training", "environment")
    places = [text.index(f'aria-label="{name}"' if name == "Verdict" else f'id="{name}"') for name in order]
    places += [text.index('id="limits"'), text.index("This report is private")]
    assert places == sorted(places)


def test_same_inputs_give_the_same_bytes_but_for_the_seconds():
    assert make_report() == make_report()
    changed = [
        (a, b)
        for a, b in zip(make_report().splitlines(), make_report(seconds={"train": 5.0}).splitlines(), strict=True)
        if a != b
    ]
    assert len(changed) == 1


def test_an_empty_run_still_has_a_report():
    page = Page(make_report(profiles=[], records=[], pictures=[], evidence=NOT_MEASURED))
    assert "0 of 0" in page.text
    assert "No sample was quarantined" in page.text


def test_members_of_no_sample_are_counted():
    profile = ShardProfile(
        name="1.tar", samples=1, bytes=1, sha256="a", modes={}, height=Moments(), width=Moments(),
        histograms={"shape": [1, 0], "size": [1] * 10}, missing={"shape": 0, "size": 0},
        strays=12, first_stray="<b>.DS_Store",
    )  # fmt: skip
    text = Page(make_report(profiles=[profile])).text
    assert "belong to no sample and are not published: 12 (the first: '<b>.DS_Store' in 1.tar)" in text
