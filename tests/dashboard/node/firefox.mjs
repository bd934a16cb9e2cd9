// From the first run to a call that was talked, in Firefox: node firefox.mjs FIREFOX OWNER_LINK.
// Its microphone is Firefox's own stand-in, a tone. Ends with what the page complained about, as a
// JSON list, or with an error.
import puppeteer from "puppeteer-core";

const [executablePath, link] = process.argv.slice(2);
const browser = await puppeteer.launch({
  browser: "firefox",
  executablePath,
  headless: true,
  extraPrefsFirefox: { "media.navigator.streams.fake": true, "media.navigator.permission.disabled": true },
});
const complaints = [];
const page = await browser.newPage();
try {
  page.setDefaultTimeout(150_000); // a call is in real time, a busy machine is not
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  const press = (name) => page.locator(`::-p-xpath(//button[contains(., "${name}")])`).click();
  // In a transcript, which has what was played to its end. The editor shows the greeting as well.
  const heard = (where) => page.waitForFunction((list) => document.querySelector(list)?.innerText.includes("How can I help?"), {}, where);
  const see = (text) => page.waitForFunction((wanted) => document.body.innerText.includes(wanted), {}, text);

  await page.goto(link);
  await page.locator("input[autocomplete=name]").fill("Ada Lind");
  await page.locator("input[autocomplete=username]").fill("ada@example.com");
  await page.locator("input[autocomplete=new-password]").fill("correct horse battery");
  await press("Create owner");
  await press("Make the demo agent");
  await see("Bistro");
  await press("Talk to it");
  await see("Connected");
  await heard("ol.said");
  await press("Hang up");
  await see("You have hung up.");
  await page.locator('::-p-xpath(//a[contains(., "See the call")])').click();
  await page.waitForFunction(() => /\/calls\/[0-9a-f-]{36}/.test(location.pathname));
  await heard(".transcript");
  await page.goBack();
  await see("System prompt");
  await page.reload();
  await see("System prompt");
} catch (error) {
  console.error(`${page.url()} shows:\n${await page.evaluate(() => document.body.innerText)}`);
  throw error;
} finally {
  await browser.close();
}
console.log(JSON.stringify(complaints));
