"""The page in Chromium, driven as a person would: by mouse and by keyboard."""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from medt_pipeline.core.images import write_png
from medt_pipeline.report.data_set import report_data_set
from medt_pipeline.report.masks import report_masks
from medt_pipeline.report.review import ReviewOptions, review_masks
from tests.conftest import DATASET_ID, Drawn
from tests.report.drawn_results import disc

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

pytestmark = pytest.mark.browser

Open = Callable[[Path], "WebDriver"]


@pytest.fixture(scope="session")  # so that without a browser it skips before anything is prepared
def driver() -> Iterator[WebDriver]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="the package selenium is not installed")
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    program = shutil.which("chromedriver")
    if browser is None or program is None:
        pytest.skip("there is no Chromium with chromedriver here (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    # Without its sandbox it starts for root too; it opens nothing but these pages.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(program))
    yield driver
    driver.quit()


@pytest.fixture
def opened(driver: WebDriver) -> Iterator[Open]:
    """Opens a page at desktop size; at the end of the test nothing may stand in the console."""

    def open_page(page: Path) -> WebDriver:
        show(driver, 1280, 900)
        driver.get("about:blank")
        driver.get(page.as_uri())
        return driver

    driver.get_log("browser")
    yield open_page
    assert driver.get_log("browser") == []


@pytest.fixture(scope="module")
def report(selected: tuple[Drawn, dict], tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("page") / "page.html"
    return report_data_set(DATASET_ID, selected[0].workspace, target=target, quiet=True).file


@pytest.fixture(scope="module")
def two_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of three masks of two classes."""
    folder = tmp_path_factory.mktemp("masks")
    for name in ("masks", "images"):
        (folder / name).mkdir()
    for number in range(3):
        write_png(folder / "masks" / f"case{number}.png", disc(6 + 4 * number) + disc(4))
        write_png(folder / "images" / f"case{number}.png", np.full((48, 64), 90, np.uint8))
    return report_masks(folder / "masks", folder / "images", quiet=True).file


@pytest.fixture(scope="module")
def queue(two_classes: Path) -> Path:
    """The page of the same masks to be reviewed, the second most doubtful."""
    masks = two_classes.parent
    names = ("case0.png,0.5", "case1.png,0.25", "case2.png,0.75")
    (masks / "medt_quality.csv").write_text("\n".join(["image,estimated_dice", *names]))
    return review_masks(masks, masks.parent / "images", ReviewOptions(quiet=True)).page.file


def show(driver: WebDriver, width: int, height: int, scheme: str = "light", mobile: bool = False) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def press(driver: WebDriver, *keys: str) -> None:
    driver.switch_to.active_element.send_keys(*keys)


def column(driver: WebDriver, title: str) -> list[str]:
    """Cells of a column of the table of cases, of the rows that are shown, from top to bottom."""
    return driver.execute_script(
        """const table = document.getElementById("case-table");
        const titles = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
        const rows = [...table.tBodies[0].rows].filter((row) => !row.hidden);
        return rows.map((row) => row.cells[titles.indexOf(arguments[0])].textContent);""",
        title,
    )


def picture(driver: WebDriver, case: str) -> np.ndarray:
    """What is seen of the picture of a case."""
    element = driver.find_element("css selector", f"{case} .picture")
    # Always at the same place, since lines between pixels look different elsewhere.
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    return np.array(Image.open(io.BytesIO(element.screenshot_as_png)))


def differ(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether any pixel differs by more than what the smoothing of lines may do from one drawing to the next."""
    return bool((np.abs(first.astype(int) - second) > 40).any())


def shown(driver: WebDriver) -> str:
    """Name of the case that was chosen."""
    return driver.execute_script("return document.querySelector('.case:target')?.getAttribute('aria-label') ?? ''")


def test_columns_sort_both_ways_by_keyboard(opened: Open, report: Path) -> None:
    driver = opened(report)
    dice = [float(one) for one in column(driver, "Dice")]
    assert len(dice) == 10
    assert dice == sorted(dice)
    header = driver.find_element("xpath", "//table[@id='case-table']//button[text()='Dice']")
    assert header.find_element("xpath", "..").get_attribute("aria-sort") == "ascending"
    driver.execute_script("arguments[0].focus()", header)
    press(driver, "\ue007")  # Enter
    assert [float(one) for one in column(driver, "Dice")] == sorted(dice, reverse=True)
    assert header.find_element("xpath", "..").get_attribute("aria-sort") == "descending"
    driver.find_element("xpath", "//table[@id='case-table']//button[text()='Case']").click()
    names = column(driver, "Case")
    assert names == sorted(names)
    assert header.find_element("xpath", "..").get_attribute("aria-sort") is None


def test_the_table_is_filtered_by_words_and_by_score(opened: Open, report: Path) -> None:
    driver = opened(report)
    names, dice = column(driver, "Case"), column(driver, "Dice")
    status = driver.find_element("id", "filter-status")
    assert status.text == "10 cases"
    search = driver.find_element("id", "filter-text")
    search.send_keys(names[3].upper())
    assert column(driver, "Case") == [names[3]]
    assert status.text == "1 of 10 cases"
    search.clear()
    search.send_keys("no such case")
    assert column(driver, "Case") == []
    search.clear()
    search.send_keys(" ")
    driver.find_element("id", "filter-limit").send_keys(f"{float(dice[4]) + 5e-4:.4f}")
    found = column(driver, "Dice")
    assert found == dice[: len(found)]
    assert len(found) >= 5
    assert len(found) < 10


@pytest.mark.parametrize("layer", ["truth", "prediction", "differences", "uncertainty"])
def test_each_layer_changes_the_picture_and_back(opened: Open, report: Path, layer: str) -> None:
    driver = opened(report)
    box = driver.find_element("id", f"layer-{layer}")
    before = picture(driver, ".case.marked")
    assert box.is_selected() == (layer in ("truth", "prediction"))
    driver.execute_script("arguments[0].focus()", box)
    press(driver, " ")
    assert box.is_selected() != (layer in ("truth", "prediction"))
    assert differ(before, picture(driver, ".case.marked"))
    box.click()
    assert not differ(before, picture(driver, ".case.marked"))


def test_without_layers_only_the_image_is_seen(opened: Open, report: Path) -> None:
    driver = opened(report)
    for layer in ("truth", "prediction"):
        driver.find_element("id", f"layer-{layer}").click()
    bare = picture(driver, ".case.marked")
    driver.execute_script("document.querySelectorAll('.over').forEach((one) => one.remove())")
    assert not differ(bare, picture(driver, ".case.marked"))


def test_classes_are_switched_one_by_one(opened: Open, two_classes: Path) -> None:
    driver = opened(two_classes)
    both = picture(driver, ".case.marked")
    driver.find_element("id", "label-2").click()
    first = picture(driver, ".case.marked")
    driver.find_element("id", "label-1").click()
    assert differ(both, first)
    assert differ(first, picture(driver, ".case.marked"))
    driver.find_element("id", "label-2").click()
    assert differ(first, picture(driver, ".case.marked"))


def test_cases_are_chosen_and_stepped_through_by_keyboard(opened: Open, report: Path) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    driver = opened(report)
    names = column(driver, "Case")
    assert shown(driver) == ""
    assert len([one for one in driver.find_elements("class name", "case") if one.is_displayed()]) == 9
    link = driver.find_element("link text", names[1])
    driver.execute_script("arguments[0].focus()", link)
    press(driver, "\ue007")
    assert shown(driver) == names[1]
    # The page marks the link when the browser gets round to telling it of the new address.
    WebDriverWait(driver, 10).until(lambda _: link.get_attribute("aria-current") == "true")
    press(driver, "\ue014")  # right
    press(driver, "\ue014")
    assert shown(driver) == names[3]
    press(driver, "\ue012")  # left
    assert shown(driver) == names[2]
    first, chosen = driver.find_elements("class name", "case")[0], driver.find_element("css selector", ".case:target")
    assert chosen.rect["y"] < first.rect["y"], "the chosen case stands above the others"
    assert chosen.rect["width"] > 2 * first.rect["width"]
    press(driver, "\ue00c")  # Escape
    assert shown(driver) == ""
    driver.find_element("css selector", f"[aria-label='{names[0]}'] .picture").click()
    assert shown(driver) == names[0]
    assert not driver.find_element("id", "previous").is_enabled()
    driver.find_element("id", "next").click()
    assert shown(driver) == names[1]


def test_stepping_follows_the_order_and_the_filter(opened: Open, report: Path) -> None:
    driver = opened(report)
    driver.find_element("xpath", "//table[@id='case-table']//button[text()='Dice']").click()
    patient = column(driver, "Group")[0]
    driver.find_element("id", "filter-text").send_keys(patient)
    names = column(driver, "Case")
    assert len(names) == 2
    driver.find_element("id", "next").click()
    driver.find_element("id", "next").click()
    assert shown(driver) == names[1]
    assert not driver.find_element("id", "next").is_enabled()


def test_every_case_of_the_table_has_its_picture(opened: Open, report: Path) -> None:
    driver = opened(report)
    for name in column(driver, "Case"):
        driver.find_element("link text", name).click()
        image = driver.find_element("css selector", ".case:target .image")
        assert shown(driver) == name
        assert driver.execute_script("return arguments[0].complete && arguments[0].naturalWidth", image) == 96


def test_a_phone_shows_it_without_scrolling_sideways(opened: Open, report: Path) -> None:
    driver = opened(report)
    show(driver, 390, 844, mobile=True)
    driver.get(report.as_uri())
    assert driver.execute_script("return document.documentElement.scrollWidth") == 390
    assert driver.execute_script("return getComputedStyle(document.body).fontSize") == "16px"
    width = driver.find_element("css selector", ".case.marked .picture").rect["width"]
    assert width > 330


def test_it_is_dark_where_the_reader_wants_it(opened: Open, report: Path) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    driver = opened(report)
    colour = "return getComputedStyle(document.body).backgroundColor"
    chart = "return document.querySelector('.chart img').currentSrc"
    light, light_chart = driver.execute_script(colour), driver.execute_script(chart)
    show(driver, 1280, 900, "dark")
    assert light == "rgb(255, 255, 255)"
    assert sum(int(one) for one in driver.execute_script(colour)[4:-1].split(",")) < 120
    # The browser chooses among the sources of a picture when it has the time.
    WebDriverWait(driver, 20).until(lambda one: one.execute_script(chart) != light_chart)


def test_all_is_in_the_file_and_it_prints(opened: Open, report: Path) -> None:
    driver = opened(report)
    loaded = driver.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert [name for name in loaded if not name.startswith("data:")] == []
    assert driver.execute_script("return [...document.images].every((one) => one.complete && one.naturalWidth > 0)")
    pdf = base64.b64decode(driver.print_page())
    assert pdf.startswith(b"%PDF")
    assert len(pdf) > 50_000


def test_names_that_are_markup_do_nothing(opened: Open, evil_page: Path) -> None:
    driver = opened(evil_page)
    # A dialogue would make the next command fail.
    assert driver.execute_script("return document.scripts.length") == 1
    names = column(driver, "Case")
    assert any(name.startswith("<img") for name in names)
    for link in driver.find_elements("css selector", "#case-table a"):
        link.click()
    driver.find_element("id", "filter-text").send_keys("<img")
    assert len(column(driver, "Case")) == 2, "its own name, and that of another's patient"


def test_a_queue_shows_the_worst_first_and_opens_its_mask(opened: Open, queue: Path) -> None:
    driver = opened(queue)
    assert column(driver, "Case") == ["case1", "case0", "case2"]
    assert column(driver, "Rank") == ["1", "2", "3"]
    for width in (1200, 400):
        show(driver, width, 900, mobile=width < 500)
        assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    driver.find_element("css selector", "#case-table td a").click()
    assert driver.current_url == (queue.parent / "case1.png").as_uri()
