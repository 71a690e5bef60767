"""The search finds Chinese words: how the index is made, and what a real browser finds in it."""

import json
import re
import shutil
import subprocess
import sys

import pytest

from book.tools.extensions.search import EnglishWithChinese

PAGES = {
    "encoders": "Encoders\n===\n\nA ViT reads patches with an 图像编码器.",
    "labs": "Labs: 多模态检索\n===\n\nRetrieval, or 图像检索, with ViT towers.",
    "metrics": "Metrics\n===\n\nA ViT again, and AI.",
}
FOUND = {
    "模态": ["labs"],
    "多模态": ["labs"],
    "检索": ["labs"],
    "图": ["encoders", "labs"],
    "图像编码器": ["encoders"],
    "像码": [],
    "图像 patches": ["encoders"],
    "ViT 图像": ["encoders", "labs"],
    "AI ViT": ["metrics"],
    "reading": ["encoders"],
    "tower": ["labs"],
}
# Asks for each query on the search page, and writes the answers onto it.
ALL = """<pre></pre><script type="module">
const results = {};
for (const query of %s) {
  const [, ...parsed] = Search._parseQuery(query);
  const pages = Search._performSearch(query, ...parsed).map(([page]) => page);
  results[query] = [...new Set(pages)].sort();
}
document.querySelector("pre").textContent = JSON.stringify(results);
</script>"""
CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    source = tmp_path_factory.mktemp("site")
    for name, text in PAGES.items():
        (source / f"{name}.rst").write_text(f":orphan:\n\n{text}\n")
    config = "root_doc = 'labs'; extensions = ['book.tools.extensions.search']"
    (source / "conf.py").write_text(config)
    html = source / "html"
    subprocess.run([sys.executable, "-m", "sphinx", "-qW", source, html], check=True)
    return html


def test_a_chinese_phrase_is_indexed_with_each_of_its_parts():
    split = EnglishWithChinese({}).split
    assert split("A图像, ViT_2") == ["A", "图", "图像", "像", "ViT_2"]


def test_the_index_holds_each_part_and_the_browser_its_own_splitter(site):
    index = (site / "searchindex.js").read_text()
    for part in ("模态", "多模态检索", "索"):
        assert part.encode("ascii", "backslashreplace").decode() in index
    assert "var splitQuery" in (site / "_static/language_data.js").read_text()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_a_browser_finds_the_right_pages(site):
    page = site / "all.html"
    asking = ALL % json.dumps(list(FOUND))
    page.write_text((site / "search.html").read_text().replace("</body>", asking + "</body>"))
    options = ["--headless", "--no-sandbox", "--virtual-time-budget=2000", "--dump-dom"]
    command = [CHROMIUM, *options, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(re.search(r"<pre>(.*)</pre>", done.stdout)[1]) == FOUND
