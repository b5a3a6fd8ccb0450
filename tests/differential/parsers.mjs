// Reads the names of .eml files from standard input, a line each, and writes a line of JSON for each:
// what mailparser and postal-mime make of it, in the same terms.

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { LinkifyIt } from "linkify-it";
import { simpleParser } from "mailparser";
import { parse as parseHtml } from "parse5";
import PostalMime from "postal-mime";

const linkify = new LinkifyIt({}, { fuzzyLink: false, fuzzyEmail: false });

const digest = (content) => createHash("sha256").update(content).digest("hex").slice(0, 16);
const lines = (text) => (text ?? null) && text.replace(/\r\n?/g, "\n");

function attachment(name, type, content) {
  const octets = typeof content === "string" ? Buffer.from(content) : Buffer.from(content ?? "");
  return { filename: name ?? null, type, octets: octets.length, digest: digest(octets) };
}

function hrefs(node, found) {
  for (const { name, value } of node.attrs ?? []) {
    if (name === "href" && /^https?:/i.test(value.trim())) found.push(value.trim());
  }
  for (const child of node.childNodes ?? []) hrefs(child, found);
  return found;
}

function links(text, html) {
  const found = html ? hrefs(parseHtml(html), []) : [];
  for (const match of (text && linkify.match(text)) || []) {
    if (/^https?:/i.test(match.url)) found.push(match.url);
  }
  return [...new Set(found)];
}

const flat = (list) => list.flatMap((each) => (each.group ? flat(each.group) : [each.address]));

async function byMailparser(octets) {
  const mail = await simpleParser(octets, { skipTextToHtml: true, skipHtmlToText: true, skipTextLinks: true });
  const addresses = ["from", "to", "cc"].flatMap((name) => [mail[name] ?? []].flat().flatMap((each) => flat(each.value)));
  return {
    subject: mail.subject ?? "",
    text: lines(mail.text),
    html: lines(mail.html || null),
    addresses: addresses.filter(Boolean),
    attachments: mail.attachments.map((each) => attachment(each.filename, each.contentType, each.content)),
    links: links(mail.text, mail.html || null),
  };
}

async function byPostalMime(octets) {
  const mail = await new PostalMime({ attachmentEncoding: "arraybuffer" }).parse(octets);
  const addresses = [mail.from, ...(mail.to ?? []), ...(mail.cc ?? [])].filter(Boolean);
  return {
    subject: mail.subject ?? "",
    text: lines(mail.text),
    html: lines(mail.html),
    addresses: flat(addresses).filter(Boolean),
    attachments: mail.attachments.map((each) => attachment(each.filename, each.mimeType, each.content)),
    links: links(mail.text, mail.html),
  };
}

const attempt = (parser, octets) => parser(octets).catch((error) => ({ error: String(error) }));

for await (const file of createInterface({ input: process.stdin })) {
  const octets = await readFile(file);
  const found = { mailparser: await attempt(byMailparser, octets), "postal-mime": await attempt(byPostalMime, octets) };
  console.log(JSON.stringify({ file, ...found }));
}
