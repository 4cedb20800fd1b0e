"""What an earlier build left in a real Chromium's database is sent by this one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest

from tests.browser.harness import Learner, Promises, drained
from tests.browser.oracle import each_once
from tests.browser.proxy import Proxy
from tests.served import Served

pytestmark = pytest.mark.browser

WRITTEN: Final = sorted(Path(__file__).parent.glob("outbox-v*.json"))
"""Whole databases, each as the build of that entry version left it, with nine events waiting."""

PUT_BACK: Final = """(async ({name, version, shelves, mirror}) => {
  const asked = indexedDB.open(name, version);
  asked.onupgradeneeded = () => { for (const shelf in shelves) asked.result.createObjectStore(shelf); };
  const database = await new Promise((ok) => { asked.onsuccess = () => ok(asked.result); });
  const writing = database.transaction(Object.keys(shelves), "readwrite");
  for (const shelf in shelves)
    for (const [key, record] of shelves[shelf]) writing.objectStore(shelf).put(record, key);
  await new Promise((ok, no) => { writing.oncomplete = ok; writing.onabort = no; });
  database.close();
  for (const key in mirror) localStorage.setItem(key, mirror[key]);
})"""


@pytest.mark.parametrize("file", WRITTEN, ids=lambda file: file.stem)
def test_an_outbox_that_an_earlier_build_wrote_arrives_whole(
    file: Path, ada: Learner, portal: Served, proxy: Proxy
) -> None:
    left = json.loads(file.read_text())
    before = ada.chrome.tab(f"{proxy.url}/test/page")
    before.evaluate(f"{PUT_BACK}({json.dumps(left)}).then(() => true)")
    tab = ada.tab()
    promises = Promises().hear(
        {"saved": entry["id"], "kind": entry["kind"], "seq": entry["seq"], "generation": entry["generation"]}
        for _, entry in left["shelves"]["entries"]
    )
    assert len(promises.saved) == 9
    drained(tab)
    each_once(promises, portal)
    assert tab.evaluate("add(1)") == 1
    assert max(each.seq for each in ada.promises.saved.values()) == 10, "its numbering goes on"
    drained(tab)
    each_once(ada.promises, portal)
    assert tab.evaluate("outbox.losses()") == []
