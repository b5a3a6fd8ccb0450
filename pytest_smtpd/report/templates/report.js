"use strict";
// Comfort only: without it every page can be read and every link works.

function filterTests() {
  const box = document.querySelector(".filter");
  if (!box) return;
  box.hidden = false;
  const field = box.querySelector("#filter");
  const items = [...document.querySelectorAll(".tests li")];
  const groups = [...document.querySelectorAll(".tests section")];
  const none = document.querySelector(".tests .none");
  const status = box.querySelector("#found");
  const apply = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    const show = box.querySelector("input[name=show]:checked").value;
    let found = 0;
    for (const item of items) {
      const fits =
        (show === "all" || show in item.dataset) &&
        words.every((word) => item.dataset.words.includes(word));
      item.hidden = !fits;
      found += fits;
    }
    for (const group of groups) group.hidden = !group.querySelector("li:not([hidden])");
    none.hidden = found > 0 || items.length === 0;
    status.textContent = `${found} of ${items.length} tests`;
  };
  box.addEventListener("input", apply);
  apply(); // a browser may restore the field
}

function selectTests() {
  const frame = document.querySelector("iframe[name=detail]");
  if (!frame) return;
  const mark = (link) => {
    for (const old of document.querySelectorAll(".tests a[aria-current]")) {
      old.removeAttribute("aria-current");
    }
    link.setAttribute("aria-current", "true");
    link.scrollIntoView({ block: "nearest" });
  };
  const narrow = matchMedia("(max-width: 760px)");
  const aim = () => {
    for (const link of document.querySelectorAll(".tests a")) {
      link.target = narrow.matches ? "_self" : "detail";
    }
  };
  narrow.addEventListener("change", aim);
  aim();
  const chosen = document.getElementById(location.hash.slice(1));
  if (chosen && chosen.matches(".tests a")) {
    if (!narrow.matches) frame.src = chosen.href;
    mark(chosen);
  } else if (narrow.matches) {
    document.querySelector(".tests a[aria-current]")?.removeAttribute("aria-current");
  }
  addEventListener("message", (event) => {
    if (narrow.matches || event.source !== frame.contentWindow || typeof event.data !== "string") return;
    const link = document.getElementById(event.data);
    if (!link || !link.matches(".tests a")) return;
    mark(link);
    history.replaceState(null, "", `#${link.id}`);
  });
}

function detail() {
  if (window.parent === window) return;
  document.body.classList.add("framed");
  window.parent.postMessage(document.body.dataset.test, "*");
}

function remembered(name, value) {
  try {
    if (value !== undefined) sessionStorage.setItem(name, value);
    return sessionStorage.getItem(name);
  } catch {
    return null; // some browsers keep nothing for file:
  }
}

// The tabs pattern of the ARIA Authoring Practices, made of a list of links to sections
function makeTabs(box) {
  const list = box.querySelector(":scope > nav");
  const tabs = [...list.querySelectorAll("a")];
  const panels = tabs.map((tab) => document.getElementById(tab.hash.slice(1)));
  const choose = (index, focus) => {
    tabs.forEach((tab, at) => {
      tab.setAttribute("aria-selected", String(at === index));
      tab.tabIndex = at === index ? 0 : -1;
      panels[at].hidden = at !== index;
    });
    if (focus) tabs[index].focus();
  };
  box.classList.add("live");
  list.setAttribute("role", "tablist");
  tabs.forEach((tab, index) => {
    const panel = panels[index];
    tab.id = `tab-${panel.id}`;
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", panel.id);
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", tab.id);
    tab.addEventListener("click", (event) => {
      event.preventDefault();
      choose(index, true);
      remembered("tab", panel.id);
    });
  });
  list.addEventListener("keydown", (event) => {
    const at = tabs.indexOf(document.activeElement);
    const last = tabs.length - 1;
    const to = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at ? at - 1 : last, Home: 0, End: last }[event.key];
    if (event.key === " ") document.activeElement.click();
    else if (to === undefined) return;
    else {
      choose(to, true);
      remembered("tab", panels[to].id);
    }
    event.preventDefault();
  });
  const wanted = panels.findIndex((panel) => panel.id === (location.hash.slice(1) || remembered("tab")));
  choose(Math.max(0, wanted), false);
}

function widths() {
  const box = document.querySelector(".widths");
  if (!box) return;
  box.hidden = false;
  const sheet = document.querySelector(".sheet");
  const choose = (button) => {
    for (const each of box.children) each.setAttribute("aria-pressed", String(each === button));
    sheet.classList.toggle("phone", button.dataset.width !== "");
    remembered("width", button.dataset.width);
  };
  for (const button of box.children) {
    button.addEventListener("click", () => choose(button));
    if (button.dataset.width && button.dataset.width === remembered("width")) choose(button);
  }
}

filterTests();
selectTests();
if (document.body.classList.contains("detail")) detail();
document.querySelectorAll(".tabs").forEach(makeTabs);
widths();
