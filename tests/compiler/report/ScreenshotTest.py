# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The report of a search as a browser draws it: nothing lies outside of the page."""
import os
import shutil
import subprocess
import tempfile
import unittest

import tools

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
SECONDS = 120
WIDTH = 1100
# What the page says of itself once it is drawn: its width, and how many pictures are cut off.
PROBE = """<script>addEventListener("load", () => {
  const isCut = svg => svg.getBBox().x + svg.getBBox().width >
                       Math.min(svg.viewBox.baseVal.width, 1e9);
  const cut = [...document.querySelectorAll("svg")].filter(isCut);
  document.title = `drawn ${document.documentElement.scrollWidth} ${cut.length}`;
});</script>"""


@tools.needs_compiler
@unittest.skipUnless(BROWSER, "no Chromium on this machine")
class Screenshot(unittest.TestCase):
    def browse(self, folder, *arguments):
        return subprocess.run(
            [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}",
             f"--window-size={WIDTH},1700", "--virtual-time-budget=3000", *arguments],
            check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            timeout=SECONDS).stdout

    def test_search(self):
        with tempfile.TemporaryDirectory() as folder:
            page = os.path.join(folder, "plan.html")
            tools.succeed("grok-plan", "search", "grok-1", "--devices=2x8xh100",
                          f"--emit-report={page}")
            with open(page, encoding="utf-8") as file:
                text = file.read()
            self.assertIn("</body>", text)
            with open(page, "w", encoding="utf-8") as file:
                file.write(text.replace("</body>", PROBE + "</body>"))
            drawn = self.browse(folder, "--dump-dom", "file://" + page)
            title = drawn.split("<title>")[1].split("</title>")[0]
            self.assertTrue(title.startswith("drawn "), title)
            page_width, cut = map(int, title.split()[1:])
            self.assertLessEqual(page_width, WIDTH)
            self.assertEqual(cut, 0, "pictures that are cut off")
            self.assertIn("rank 7", drawn)
            picture = os.path.join(folder, "plan.png")
            self.browse(folder, f"--screenshot={picture}", "file://" + page)
            # An empty page of this size has some 10 KB.
            self.assertGreater(os.path.getsize(picture), 50_000)


if __name__ == "__main__":
    unittest.main()
