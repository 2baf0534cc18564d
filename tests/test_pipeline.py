from __future__ import annotations

import gc
import statistics
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

import anpr
from anpr import Recognizer, imaging, memory
from anpr.deadline import Deadline
from anpr.errors import (
    CorruptImage,
    DeadlineExceeded,
    InvalidOption,
    ModelMismatch,
    ModelMissing,
    TooManyPixels,
    UnsupportedImage,
)
from anpr.models import manifest, onnxfile
from anpr.models.residency import Residency
from anpr.pipeline import make_detector, make_reader
from anpr.settings import Settings
from anpr.types import Box, Candidate, Character, Reading
from tests.fakes import FixedDetector, FixedReader
from tests.scenes import car_photo, draw_car, draw_plate, encode, plate_pixels, to_bgr

PLATE = Box(10, 10, 60, 30)


def test_a_photo_goes_in_and_plates_come_out(recognizer: Recognizer) -> None:
    scene, truth = draw_car(draw_plate("RK069AV"))
    result = recognizer.read(encode(scene))
    assert [plate.text for plate in result] == ["RK069AV"]
    assert result[0].box.iou(truth) > 0.6
    assert result[0].confidence > 0.7
    assert (result.image.width, result.image.height, result.image.format) == (1280, 720, "jpeg")
    assert set(result.models) == {"detector", "reader"}
    assert all("@" in name for name in result.models.values())


def test_pixels_and_bytes_are_read_alike(recognizer: Recognizer) -> None:
    scene, _ = draw_car(draw_plate("B123XYZ"))
    by_bytes = recognizer.read(encode(scene, "PNG"))
    by_pixels = recognizer.read(to_bgr(scene))
    assert by_pixels.image.format == "array"
    assert [p.text for p in by_bytes] == [p.text for p in by_pixels] == ["B123XYZ"]
    assert by_bytes[0].box == by_pixels[0].box


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_any_kind_of_bytes_is_read(recognizer: Recognizer, kind: type) -> None:
    assert recognizer.read(kind(car_photo()))[0].text == "RK069AV"


@pytest.mark.parametrize("image", ["car.jpg", None, [1, 2, 3]])
def test_what_is_no_image_at_all_is_a_typed_error(recognizer: Recognizer, image: object) -> None:
    with pytest.raises(UnsupportedImage):
        recognizer.read(image)  # type: ignore[arg-type]


def test_boxes_are_in_pixels_of_the_image_as_sent(recognizer: Recognizer) -> None:
    scene, truth = draw_car(draw_plate(), (4000, 3000))
    assert recognizer.read(encode(scene, quality=80))[0].box.iou(truth) > 0.6


def test_a_road_without_cars_is_an_empty_result(recognizer: Recognizer) -> None:
    result = recognizer.read(np.full((480, 640, 3), 90, np.uint8))
    assert len(result) == 0


def test_every_stage_tells_its_time_and_memory(recognizer: Recognizer) -> None:
    result = recognizer.read(car_photo())
    stages = {"decode", "detect", "crop", "read"}
    assert set(result.timings_ms) == stages | {"total"}
    assert set(result.memory_mib.stages) == stages
    assert sum(result.timings_ms[s] for s in stages) <= result.timings_ms["total"]
    assert 0 < result.memory_mib.rss <= result.memory_mib.peak + 1


def test_a_plate_that_cannot_be_read_is_listed_without_text() -> None:
    product = Recognizer(detector=FixedDetector(Box(10, 10, 60, 30)), reader=FixedReader(""))
    (plate,) = product.read(car_photo())
    assert (plate.text, plate.confidence, plate.lines) == ("", 0.0, ())


def test_min_confidence_leaves_out_what_is_read_less_surely() -> None:
    product = Recognizer(detector=FixedDetector(Box(10, 10, 60, 30)), reader=FixedReader())
    assert len(product.read(car_photo(), min_confidence=0.95)) == 1
    assert len(product.read(car_photo(), min_confidence=0.96)) == 0


def test_no_more_plates_than_the_limit_surest_first() -> None:
    boxes = [Box(x, 10, x + 40, 30) for x in range(0, 300, 50)]
    product = Recognizer(
        Settings(max_plates=2), detector=FixedDetector(*boxes), reader=FixedReader()
    )
    assert [plate.box.x1 for plate in product.read(car_photo(size=(640, 480)))] == [0, 50]


def test_crops_are_padded_in_working_pixels_and_cut_from_the_finest() -> None:
    reader = FixedReader()
    product = Recognizer(detector=FixedDetector(Box(100, 100, 200, 130)), reader=reader)
    product.read(np.zeros((1024, 2048, 3), np.uint8))  # worked on at half its size
    assert reader.shapes == [(2 * (30 + 10), 2 * (100 + 10), 3)]


def test_crops_are_never_larger_than_the_limit() -> None:
    reader = FixedReader()
    product = Recognizer(detector=FixedDetector(Box(0, 0, 1000, 900)), reader=reader)
    product.read(np.zeros((1000, 1000, 3), np.uint8))
    assert reader.shapes[0][0] <= 480
    assert reader.shapes[0][1] <= 640


def test_sizes_are_those_of_the_settings() -> None:
    settings = Settings(
        working_side_px=320, padding_px=9, crop_width_px=100, crop_height_px=48, max_pixels=500_000
    )
    detector, reader = FixedDetector(Box(100, 50, 140, 60)), FixedReader()
    product = Recognizer(settings, detector=detector, reader=reader)
    product.read(np.zeros((160, 320, 3), np.uint8))
    assert detector.shapes[-1] == (160, 320, 3)
    assert reader.shapes[-1] == (28, 58, 3)  # 9 px on each side
    product.read(np.zeros((640, 640, 3), np.uint8))
    assert detector.shapes[-1] == (320, 320, 3)
    assert reader.shapes[-1] == (48, 99, 3)
    with pytest.raises(TooManyPixels):
        product.read(np.zeros((512, 1024, 3), np.uint8))


def test_the_detector_is_that_of_the_settings() -> None:
    settings = Settings(
        detector_side_px=256, second_look_px=0, closer_look_px=0, detection_confidence=0.99
    )
    photo = imaging.decode(car_photo()).working
    assert make_detector(Settings()).detect(photo)
    assert make_detector(settings).detect(photo) == []
    reader = make_reader(Settings(reader_alphabet="0123456789"))
    assert set(reader.read(plate_pixels("RK069AV")).text) <= set("0123456789")


def test_bad_bytes_are_a_typed_error_and_the_next_photo_is_read(recognizer: Recognizer) -> None:
    photo = car_photo()
    with pytest.raises(CorruptImage):
        recognizer.read(photo[: len(photo) // 2])
    assert recognizer.read(photo)[0].text == "RK069AV"


def test_the_deadline_holds_within_a_stage_and_frees_the_turn() -> None:
    product = Recognizer(
        Settings(deadline_s=0.05), detector=FixedDetector(seconds=5), reader=FixedReader()
    )
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        product.read(car_photo())
    assert time.monotonic() - started < 2
    with pytest.raises(DeadlineExceeded):
        product.read(car_photo(), deadline=Deadline(0.01))


def test_waiting_for_a_turn_counts_against_the_deadline() -> None:
    product = Recognizer(detector=FixedDetector(seconds=0.5), reader=FixedReader())
    first = threading.Thread(target=product.read, args=(car_photo(),))
    first.start()
    time.sleep(0.1)
    with pytest.raises(DeadlineExceeded):
        product.read(car_photo(), deadline=Deadline(0.05))
    first.join()


def test_a_cancelled_request_ends() -> None:
    product = Recognizer(detector=FixedDetector(seconds=5), reader=FixedReader())
    deadline = Deadline()
    threading.Timer(0.05, deadline.cancel).start()
    with pytest.raises(DeadlineExceeded):
        product.read(car_photo(), deadline=deadline)


def test_threads_take_turns() -> None:
    class Alone(FixedDetector):
        inside = 0
        most = 0

        def detect(self, image: object) -> list[object]:  # type: ignore[override]
            self.inside += 1
            self.most = max(self.most, self.inside)
            time.sleep(0.01)
            self.inside -= 1
            return []

    detector = Alone()
    product = Recognizer(detector=detector, reader=FixedReader())  # type: ignore[arg-type]
    photo = car_photo(size=(320, 240))
    threads = [threading.Thread(target=product.read, args=(photo,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert detector.most == 1


def test_models_load_with_the_first_photo_and_again_after_unloading() -> None:
    product = Recognizer(Settings())
    assert not product.loaded
    assert product.read(car_photo())[0].text == "RK069AV"
    assert product.loaded
    product.unload()
    assert not product.loaded
    assert product.read(car_photo())[0].text == "RK069AV"


def test_unloading_gives_memory_back() -> None:
    product = Recognizer(Settings())
    product.load()
    product.read(car_photo())
    held = memory.rss_mib()
    product.unload()
    assert held - memory.rss_mib() > 20


def test_unloading_before_loading_is_harmless() -> None:
    assert Recognizer(Settings()).unload()


def test_within_a_batch_models_stay() -> None:
    detector = FixedDetector(PLATE)
    product = Recognizer(Settings(model_idle_s=0.001), detector=detector, reader=FixedReader())
    with product.resident() as same:
        assert same is product
        time.sleep(0.01)
        assert not product.unload_idle()
        assert not product.unload()
        assert product.loaded
    time.sleep(0.01)
    assert product.unload_idle()
    assert not product.loaded
    assert not product.unload_idle()


def test_a_photo_that_is_being_read_is_not_interrupted_by_unloading() -> None:
    detector = FixedDetector(PLATE, seconds=0.2)
    product = Recognizer(Settings(model_idle_s=0.001), detector=detector, reader=FixedReader())
    reading = threading.Thread(target=product.read, args=(car_photo(size=(320, 240)),))
    reading.start()
    while not detector.shapes:
        time.sleep(0.001)
    assert not product.unload(wait=False)
    assert not product.unload_idle()
    assert product.unload()  # waits
    assert not product.loaded
    reading.join()


def test_models_that_are_being_loaded_are_not_unloaded() -> None:
    go_on = threading.Event()
    begun = threading.Event()

    class Slow(FixedDetector):
        def load(self) -> None:
            begun.set()
            assert go_on.wait(5)

    product = Recognizer(Settings(), detector=Slow(PLATE), reader=FixedReader())
    for load in (product.load, lambda: product.read(car_photo(size=(320, 240)))):
        begun.clear()
        loading = threading.Thread(target=load)
        loading.start()
        assert begun.wait(5)
        asked = time.monotonic()
        assert not product.unload(wait=False)
        assert time.monotonic() - asked < 1
        go_on.set()
        loading.join()
        assert product.loaded
        assert product.unload()
        go_on.clear()


def test_under_a_small_budget_each_model_comes_for_its_stage() -> None:
    held = [0.0]
    order: list[str] = []

    class Ten(FixedDetector):
        def load(self) -> None:
            order.append("+detector")
            held[0] += 10

        def unload(self) -> None:
            order.append("-detector")
            held[0] -= 10

    class Twenty(FixedReader):
        def load(self) -> None:
            order.append("+reader")
            held[0] += 20

        def unload(self) -> None:
            order.append("-reader")
            held[0] -= 20

    residency = Residency(budget_mib=25, held_mib=lambda: held[0])
    product = Recognizer(detector=Ten(PLATE), reader=Twenty(), residency=residency)
    product.read(car_photo(size=(320, 240)))
    order.clear()
    assert product.read(car_photo(size=(320, 240)))[0].text == "RK069AV"
    assert order == ["-reader", "+detector", "-detector", "+reader"]
    assert held[0] == 20


def test_the_second_start_loads_compiled_forms(tmp_path: Path) -> None:
    settings = Settings(cache_dir=str(tmp_path))
    first = Recognizer(settings)
    text = first.read(car_photo())[0].text
    assert first.compilable
    assert len(first.compile()) == 2
    second = Recognizer(settings)
    assert second.read(car_photo())[0].text == text
    assert not second.compilable
    assert second.compile() == []
    assert second.models == first.models


@pytest.mark.parametrize("frozen", [True, False])
def test_collecting_after_every_stage_costs_little(recognizer: Recognizer, frozen: bool) -> None:
    recognizer.read(car_photo())
    if frozen:
        memory.freeze()
    try:
        times = []
        for _ in range(20):
            started = time.perf_counter()
            memory.collect()
            times.append(time.perf_counter() - started)
        assert statistics.median(times) < 0.002
    finally:
        memory.unfreeze()
        gc.collect()


def test_what_a_stage_leaves_in_cycles_is_collected() -> None:
    class Node:
        def __init__(self) -> None:
            self.me = self

    gone = weakref.ref(Node())
    assert gone() is not None
    memory.collect()
    assert gone() is None


def test_a_missing_manifest_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=r"models\.toml"):
        Recognizer(Settings(weights_dir=tmp_path)).read(car_photo())


def test_a_missing_and_an_altered_model_are_typed_errors(tmp_path: Path) -> None:
    source = Settings().weights_dir
    (tmp_path / "models.toml").write_bytes((source / "models.toml").read_bytes())
    settings = Settings(weights_dir=tmp_path)
    with pytest.raises(ModelMissing, match=r"plate-detector\.onnx"):
        Recognizer(settings).load()
    altered = bytearray((source / "plate-detector.onnx").read_bytes())
    altered[2_000_000] ^= 1
    (tmp_path / "plate-detector.onnx").write_bytes(altered)
    with pytest.raises(ModelMismatch, match=r"plate-detector\.onnx"):
        Recognizer(settings).load()


def test_a_model_that_was_replaced_is_looked_up_anew(tmp_path: Path) -> None:
    source = Settings().weights_dir
    for file in ("models.toml", "plate-detector.onnx", "plate-reader.onnx"):
        (tmp_path / file).write_bytes((source / file).read_bytes())
    product = Recognizer(Settings(weights_dir=tmp_path))
    product.load()
    assert product.unload()
    before = product.models["detector"]  # as a monitor asks meanwhile
    shipped = manifest.read(tmp_path)["plate-detector"]
    other = onnxfile.with_metadata(shipped.path.read_bytes(), {"replaced": "yes"})
    shipped.path.write_bytes(other)
    manifest.record(tmp_path, shipped)
    with pytest.raises(ModelMismatch):
        product.load()
    product.load()
    assert product.loaded
    assert product.models["detector"] != before


def test_models_can_be_named_by_path(tmp_path: Path) -> None:
    weights = Settings().weights_dir
    settings = Settings(detector_model=str(weights / "plate-detector.onnx"))
    assert make_detector(settings).name == "plate-detector"
    settings = Settings(reader_model=str(tmp_path / "none.onnx"))
    with pytest.raises(ModelMissing):
        make_reader(settings).load()


def test_the_short_way() -> None:
    assert anpr.read(car_photo())[0].text == "RK069AV"


@pytest.mark.slow
def test_memory_stays_flat_over_many_photos(recognizer: Recognizer) -> None:
    photos = [car_photo(size=s) for s in ((1280, 720), (640, 480), (720, 1280), (2400, 1600))]

    def held_after(rounds: int) -> float:
        for photo in photos * rounds:
            recognizer.read(photo)
        # glibc keeps up to 64 MiB of freed heap for itself, more or less after what else ran here
        memory.release()
        return memory.rss_mib()

    before = held_after(5)
    assert held_after(40) - before < 8


class Undecided(FixedReader):
    """Reads an O for a 0, and knows better as its second thought."""

    def read(self, crop: object, *, top_n: int = 1) -> Reading:
        thoughts = [("S07183K", 0.6), ("SO7183K", 0.3)]
        candidates = tuple(
            Candidate(text, p, lines=(text,), characters=tuple(Character(c, p) for c in text))
            for text, p in thoughts[:top_n]
        )
        return Reading(candidates)


def test_regions_bring_the_candidate_that_fits_to_the_front_as_it_is() -> None:
    product = Recognizer(detector=FixedDetector(Box(10, 10, 60, 30)), reader=Undecided())
    (plate,) = product.read(car_photo(), regions=["pl"])
    assert (plate.text, plate.confidence, plate.lines) == ("SO7183K", 0.3, ("SO7183K",))
    assert "".join(one.text for one in plate.characters) == "SO7183K"
    assert plate.region is not None
    assert plate.region.code == "pl"
    assert len(plate.candidates) == 1
    (plain,) = product.read(car_photo())
    assert (plain.text, plain.confidence) == ("S07183K", 0.6)


def test_an_unknown_region_is_refused_before_any_work() -> None:
    detector = FixedDetector()
    with pytest.raises(InvalidOption):
        Recognizer(detector=detector, reader=FixedReader()).read(b"", regions=["atlantis"])
    assert detector.shapes == []
