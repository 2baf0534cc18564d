"""What is there, whether it is whole, and what can go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from anpr.errors import ModelMismatch, ModelUnknown, ModelUnusable, StoreDisabled
from anpr.models import disk, manifest, survey, tidy
from anpr.models.catalogue import Catalogue
from anpr.models.intake import Intake
from anpr.models.manifest import Entry, Part
from anpr.models.quarantine import StoredFile
from anpr.models.store import INCOMING, Store
from anpr.settings import Settings
from tests.models import samples

WEIGHTS = Settings().weights_dir


@pytest.fixture
def mine(intake: Intake, tmp_path: Path) -> Entry:
    return intake.take(samples.detector(tmp_path / "mine.onnx"), "mine")


@pytest.fixture
def catalogue(store: Store) -> Catalogue:
    return Catalogue(WEIGHTS, store.folder.parent, lock_timeout_s=5)


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def states(catalogue: Catalogue, *, hashed: bool = True) -> dict[str, str]:
    found = catalogue.models(hashed=hashed)
    return {status.entry.name: status.state for status in found if status.origin == "store"}


# --- what is there -----------------------------------------------------------------------------


def test_models_of_the_package_and_of_the_store(catalogue: Catalogue, mine: Entry) -> None:
    found = catalogue.models(hashed=True)
    assert {status.entry.name for status in found} == {*manifest.read(WEIGHTS), "mine"}
    assert {status.state for status in found} == {"ok"}
    assert states(catalogue, hashed=False) == {"mine": "present"}
    record = found[-1].record(detailed=True)
    assert record["files"][0]["sha256"] == mine.sha256
    assert record["path"] == str(mine.path)


def test_a_model_that_the_package_has_too_is_the_packages(
    catalogue: Catalogue, store: Store, mine: Entry
) -> None:
    manifest.write(store.folder, [replace(mine, name="plate-detector")])
    assert states(catalogue) == {}
    assert catalogue.one("plate-detector").origin == "package"


def test_one_model(catalogue: Catalogue, mine: Entry) -> None:
    assert catalogue.one("mine").entry == mine
    with pytest.raises(ModelUnknown):
        catalogue.one("none")
    with pytest.raises(ModelUnknown):
        Catalogue(WEIGHTS, None).one("mine")


def test_a_flipped_bit_is_seen_by_its_hash_alone(catalogue: Catalogue, mine: Entry) -> None:
    flip_a_bit(mine.path)
    assert states(catalogue, hashed=False) == {"mine": "present"}
    assert states(catalogue) == {"mine": "damaged"}


def test_a_truncated_file_is_seen_by_its_size(catalogue: Catalogue, mine: Entry) -> None:
    mine.path.write_bytes(mine.path.read_bytes()[:-1])
    assert states(catalogue, hashed=False) == {"mine": "damaged"}


def test_missing_files_links_and_folders(catalogue: Catalogue, mine: Entry, tmp_path: Path) -> None:
    content = mine.path.read_bytes()
    mine.path.unlink()
    assert states(catalogue) == {"mine": "missing"}
    (tmp_path / "outside").write_bytes(content)
    mine.path.symlink_to(tmp_path / "outside")
    assert states(catalogue) == {"mine": "unsafe"}
    mine.path.unlink()
    mine.path.mkdir()
    assert states(catalogue) == {"mine": "damaged"}
    mine.path.rmdir()
    mine.path.parent.rmdir()
    mine.path.parent.write_text("a file where the folder was")
    assert states(catalogue) == {"mine": "damaged"}


# --- verify ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [None, "mine"])
def test_what_is_damaged_in_the_store_is_put_aside(
    catalogue: Catalogue, store: Store, mine: Entry, name: str | None
) -> None:
    assert all(status.whole for status in catalogue.verify(name))
    flip_a_bit(mine.path)
    found = {status.entry.name: status.state for status in catalogue.verify(name)}
    assert found["mine"] == "damaged"
    assert not mine.path.exists()
    (kept,) = (store.folder / "quarantine").iterdir()
    assert kept.name.endswith("-mine.onnx")
    assert states(catalogue) == {"mine": "missing"}
    assert [status.state for status in catalogue.verify("mine")] == ["missing"]


def test_what_is_damaged_is_put_aside_when_it_is_loaded(store: Store, mine: Entry) -> None:
    flip_a_bit(mine.path)
    file = manifest.find(WEIGHTS, "mine", store=store.folder)
    with pytest.raises(ModelMismatch):
        file.read()
    assert not mine.path.exists()
    assert len(list((store.folder / "quarantine").iterdir())) == 1


def test_a_file_of_nobodys_store_stays(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"other")
    with pytest.raises(ModelMismatch):
        StoredFile(tmp_path / "a.onnx", "0" * 64).read()
    assert (tmp_path / "a.onnx").exists()


def test_a_file_that_was_repaired_meanwhile_stays(store: Store, mine: Entry) -> None:
    file = manifest.find(WEIGHTS, "mine", store=store.folder)
    with pytest.raises(ModelMismatch):
        file.check(b"what was read before the repair")
    assert mine.path.exists()
    assert not (store.folder / "quarantine").exists()


def test_a_link_goes_to_quarantine_and_its_target_stays(
    catalogue: Catalogue, store: Store, mine: Entry, tmp_path: Path
) -> None:
    mine.path.rename(tmp_path / "outside.onnx")
    mine.path.symlink_to(tmp_path / "outside.onnx")
    catalogue.verify("mine")
    assert (tmp_path / "outside.onnx").is_file()
    assert not mine.path.is_symlink()


def test_a_file_behind_a_folder_that_is_a_link_stays_where_it_is(
    catalogue: Catalogue, mine: Entry, tmp_path: Path
) -> None:
    flip_a_bit(mine.path)
    outside = tmp_path / "outside"
    mine.path.parent.rename(outside)
    mine.path.parent.symlink_to(outside)
    assert [status.state for status in catalogue.verify("mine")] == ["unsafe"]
    assert (outside / "mine.onnx").is_file()


def test_the_packages_files_are_never_moved(tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    samples.detector(weights / "a.onnx")
    (weights / "models.toml").write_text("")
    manifest.record(weights, Entry("a", "detector", weights / "a.onnx", 0, "", "MIT", "us"))
    flip_a_bit(weights / "a.onnx")
    found = Catalogue(weights, tmp_path / "cache").verify()
    assert [status.state for status in found] == ["damaged"]
    assert (weights / "a.onnx").exists()
    assert not (tmp_path / "cache").exists()


# --- prune and clear ---------------------------------------------------------------------------


def prune(catalogue: Catalogue, *, dry_run: bool = False) -> list[tuple[str, str]]:
    return [(one.reason, one.path.name) for one in catalogue.prune(dry_run=dry_run)]


def test_a_tidy_store_has_nothing_to_prune(catalogue: Catalogue, mine: Entry) -> None:
    assert prune(catalogue) == []
    assert states(catalogue) == {"mine": "ok"}
    overview = catalogue.overview(catalogue.models(hashed=True), hashed=True)
    assert (overview["health"], overview["models"]) == ("good", len(manifest.read(WEIGHTS)) + 1)
    assert overview["store_bytes"] > mine.bytes


def test_a_store_that_was_never_used(catalogue: Catalogue) -> None:
    assert prune(catalogue) == prune(catalogue, dry_run=True) == []
    assert catalogue.clear() == 0
    assert catalogue.cache is not None
    assert not catalogue.cache.exists()


def test_what_can_go_is_said_first_and_then_goes(
    catalogue: Catalogue, store: Store, intake: Intake, mine: Entry, tmp_path: Path
) -> None:
    bad = intake.take(samples.detector(tmp_path / "bad.onnx", seed=1), "bad")
    lost = intake.take(samples.detector(tmp_path / "lost.onnx", seed=2), "lost")
    flip_a_bit(bad.path)
    lost.path.unlink()
    orphan = intake.take(
        samples.detector(tmp_path / "orphan.onnx", seed=3), "orphan", made_from="0" * 64
    )
    kept = intake.take(
        samples.detector(tmp_path / "kept.onnx", seed=4), "kept", made_from=mine.sha256
    )
    (store.folder / "nobody-12345678").mkdir()
    (store.folder / "nobody-12345678" / "nobody.onnx").write_bytes(bytes(1000))
    (store.folder / f"{INCOMING}killed").mkdir()
    (store.folder / ".models.toml.x1").write_text("killed while it wrote")
    (store.folder / "partial").mkdir()
    (store.folder / "partial" / "a.part").write_bytes(bytes(500))
    (store.folder / "partial" / "a.json").write_text("{}")
    (store.folder / "quarantine").mkdir()
    (store.folder / "quarantine" / "1-x.onnx").write_bytes(bytes(300))

    wanted = {
        ("corrupt", bad.path.parent.name),
        ("corrupt", lost.path.parent.name),
        ("stale", orphan.path.parent.name),
        ("stale", "nobody-12345678"),
        ("stale", ".models.toml.x1"),
        ("partial", f"{INCOMING}killed"),
        ("partial", "a.part"),
        ("partial", "a.json"),
        ("corrupt", "1-x.onnx"),
    }
    assert set(prune(catalogue, dry_run=True)) == wanted
    overview = catalogue.overview(catalogue.models(hashed=True), hashed=True)
    assert (overview["health"], overview["reclaimable_files"]) == ("cluttered", 9)
    before = survey.tree_bytes(store.folder)
    freed = sum(one.bytes for one in catalogue.prune(dry_run=False))
    manifest_bytes = 1000  # entries that went make it shorter
    assert 0 <= before - survey.tree_bytes(store.folder) - freed < manifest_bytes
    assert freed == overview["reclaimable_bytes"] > 1800
    assert prune(catalogue) == []
    assert states(catalogue) == {"mine": "ok", "kept": "ok"}
    assert kept.file.read()


def test_a_double_becomes_a_second_name_of_the_same_file(
    catalogue: Catalogue, store: Store, mine: Entry
) -> None:
    twin = store.folder / "twin-1" / "twin.onnx"
    twin.parent.mkdir()
    twin.write_bytes(mine.path.read_bytes())
    manifest.write(store.folder, [mine, replace(mine, name="twin", path=twin)])
    (found,) = catalogue.prune(dry_run=False)
    assert (found.reason, found.bytes) == ("double", mine.bytes)
    assert twin.samefile(mine.path)
    assert states(catalogue) == {"mine": "ok", "twin": "ok"}
    assert prune(catalogue) == []


def test_what_somebody_is_at_work_on_stays(catalogue: Catalogue, store: Store, mine: Entry) -> None:
    with store.incoming() as room:
        (room / "half").write_bytes(b"half")
        assert prune(catalogue) == []
        catalogue.clear()
        assert (room / "half").exists()
    assert not room.exists()
    assert mine.path.exists() is False


def test_a_download_under_way_stays(catalogue: Catalogue, store: Store, mine: Entry) -> None:
    partial = store.folder / "partial"
    partial.mkdir()
    for name in ("busy.part", "busy.json", "old.part", "lone.json"):
        (partial / name).write_bytes(b"x")
    with (partial / "busy.part").open("rb") as file:
        assert disk.try_lock(file.fileno())
        assert set(prune(catalogue)) == {("partial", "old.part"), ("partial", "lone.json")}
        catalogue.clear()
        assert sorted(path.name for path in partial.iterdir()) == ["busy.json", "busy.part"]
    catalogue.clear()
    assert list(partial.iterdir()) == []


def test_clearing_removes_the_models_and_says_how_much(
    catalogue: Catalogue, store: Store, mine: Entry
) -> None:
    assert catalogue.forms is not None
    catalogue.forms.mkdir()
    (catalogue.forms / "x.onnx").write_bytes(bytes(1000))
    assert catalogue.clear() > mine.bytes + 1000
    assert list(store.folder.iterdir()) == []
    assert not catalogue.forms.exists()
    assert states(catalogue) == {}


def test_clearing_helps_where_the_manifest_is_broken(
    catalogue: Catalogue, store: Store, mine: Entry
) -> None:
    (store.folder / "models.toml").write_text("broken")
    with pytest.raises(ModelUnusable):
        catalogue.prune(dry_run=False)
    with pytest.raises(ModelUnusable):
        catalogue.models(hashed=False)
    assert mine.path.exists()
    catalogue.clear()
    assert states(catalogue) == {}


def test_compiled_forms_of_what_is_gone_are_stale(
    catalogue: Catalogue, store: Store, mine: Entry
) -> None:
    from anpr.models import compiled

    assert catalogue.forms is not None
    form = compiled.compile_form(mine.file, catalogue.forms, "all")
    (catalogue.forms / "damaged.onnx").write_bytes(b"damaged")
    assert prune(catalogue, dry_run=True) == [("corrupt", "damaged.onnx")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "_is_current", lambda _: False)
        assert ("stale", form.name) in prune(catalogue, dry_run=True)
    store.forget({"mine"})
    assert set(prune(catalogue)) == {
        ("corrupt", "damaged.onnx"),
        ("stale", form.name),
        ("stale", mine.path.parent.name),
    }
    assert list(catalogue.forms.iterdir()) == []


def test_a_file_beside_the_manifest_goes_alone(
    catalogue: Catalogue, store: Store, mine: Entry
) -> None:
    loose = store.folder / "loose.onnx"
    loose.write_bytes(b"other bytes")
    manifest.write(store.folder, [mine, replace(mine, name="loose", path=loose)])
    assert prune(catalogue) == [("corrupt", "loose.onnx")]
    assert states(catalogue) == {"mine": "ok"}


def test_a_store_that_is_switched_off(tmp_path: Path) -> None:
    off = Catalogue(WEIGHTS, None)
    assert {status.origin for status in off.models(hashed=False)} == {"package"}
    assert off.overview(off.models(hashed=False), hashed=False)["store_bytes"] == 0
    assert off.overview([], hashed=True)["health"] == "good"
    with pytest.raises(StoreDisabled):
        off.prune(dry_run=True)
    with pytest.raises(StoreDisabled):
        off.clear()


def test_health() -> None:
    assert survey.health(10, []).verdict == "good"
    assert survey.health(survey.LARGE_BYTES, []).verdict == "large"
    assert survey.health(survey.LARGE_BYTES, [1]).verdict == "cluttered"


def test_models_of_several_files(store: Store, mine: Entry, catalogue: Catalogue) -> None:
    other = mine.path.with_name("other.yml")
    other.write_bytes(b"1234")
    digest = "03ac674216f3e15c761ee1a5e255f067953623c8b388b4459e13f978d7c846f4"
    manifest.write(store.folder, [replace(mine, parts=(Part(other, 4, digest),))])
    assert states(catalogue) == {"mine": "ok"}
    other.write_bytes(b"1235")
    assert states(catalogue) == {"mine": "damaged"}
    catalogue.verify()
    assert mine.path.exists()
    assert not other.exists()


def test_an_entry_of_a_package_is_not_the_stores_to_remove(
    store: Store, mine: Entry, catalogue: Catalogue
) -> None:
    strange = Entry("strange", "reader", Path("not-installed"), 1, "0" * 64, "MIT", "us", "nowhere")
    assert store.home(strange) is None
    text = (store.folder / "models.toml").read_text()
    (store.folder / "models.toml").write_text(
        text + '\n[strange]\nkind = "reader"\nfile = "a.onnx"\npackage = "no_such_package"\n'
        f'bytes = 1\nsha256 = "{"0" * 64}"\nlicence = "MIT"\nsource = "us"\n'
    )
    assert prune(catalogue) == []
    assert tidy.leftovers(store) == []
