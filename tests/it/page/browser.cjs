// A browser for the tests: one command as JSON on each line of standard input, one answer on each
// line of standard output. It reaches nothing but loopback.
"use strict";
const readline = require("node:readline");
const modules = process.env.PAGE_MODULES;
const axe = require(`${modules}/axe-core`);
const puppeteer = require(`${modules}/puppeteer-core`);

// With the input ends everything, what a command still waits for included: the browser as well, which
// is closed below, or killed when this process exits.
process.stdin.once("end", () => setTimeout(() => process.exit(1), 5000).unref());

const open = async () => {
  const browser = await puppeteer.launch({
    executablePath: process.env.PAGE_BROWSER,
    args: [
      "--disable-background-networking", "--disable-component-update", "--no-first-run",
      "--disable-dev-shm-usage", "--force-color-profile=srgb",
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
      ...(process.getuid() === 0 ? ["--no-sandbox"] : []),
    ],
  });
  let page;
  let complaints = [];
  let navigations = 0;

  const commands = {
    // A page of its own, with nothing left of the one before.
    async visit({ url, script = true, dark = false, width = 1280, height = 900 }) {
      await page?.close();
      page = await browser.newPage();
      complaints = [];
      navigations = 0;
      page.on("console", (said) => {
        if (["error", "warn"].includes(said.type())) complaints.push(said.text());
      });
      page.on("pageerror", (error) => complaints.push(String(error)));
      page.on("framenavigated", () => { navigations += 1; });
      await page.setJavaScriptEnabled(script);
      await page.setViewport({ width, height });
      await page.emulateMediaFeatures([
        { name: "prefers-color-scheme", value: dark ? "dark" : "light" },
        { name: "prefers-reduced-motion", value: "reduce" },
      ]);
      const answer = await page.goto(url, { waitUntil: "domcontentloaded" });
      return answer.status();
    },
    evaluate: ({ expression }) => page.evaluate(expression),
    // What assistive technology would stumble over: the rule, and where.
    async axe() {
      await page.evaluate(axe.source);
      const { violations, incomplete } = await page.evaluate("axe.run(document)");
      const unclear = incomplete.filter((rule) => rule.id === "color-contrast");
      return [...violations, ...unclear].flatMap((rule) => rule.nodes.map((node) =>
        `${rule.id}: ${node.target} ${node.any.concat(node.all, node.none).map((check) => check.message).join("; ")}`));
    },
    async press({ keys }) { for (const key of keys) await page.keyboard.press(key); },
    complaints: () => complaints,
    navigations: () => navigations,
    async screenshot({ path }) { await page.screenshot({ path, fullPage: true }); },
  };

  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { command, ...options } = JSON.parse(line);
    let answer;
    try {
      answer = { ok: (await commands[command](options)) ?? null };
    } catch (error) {
      answer = { error: String(error) };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
  await browser.close();
};

open().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
