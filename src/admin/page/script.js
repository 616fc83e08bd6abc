// Replaces the parts of the page that changed. Nothing here is needed to read it.
"use strict";
(() => {
  const main = document.querySelector("main");
  const icons = { well: "%231b7a43", calm: "%23657786", look: "%23b26a00", act: "%23b3261e" };

  // What the state says belongs into the tab as well.
  const tab = (state) => {
    document.title = state.dataset.title;
    document.querySelector("link[rel=icon]").href =
      "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='7' fill='" +
      icons[state.className] + "'/%3E%3C/svg%3E";
  };

  // Makes one element like another in place, so that what is open, focused or selected stays so.
  const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && a.id === b.id;
  const morph = (old, next) => {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== next.nodeValue) old.nodeValue = next.nodeValue;
      return;
    }
    for (const { name, value } of [...next.attributes]) {
      if (name !== "open" && old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
      if (name !== "open" && !next.hasAttribute(name)) old.removeAttribute(name);
    }
    if (old.id === "connection") return;
    const wanted = [...next.childNodes];
    const kept = [...old.childNodes].filter((node) => !node.dataset?.own);
    wanted.forEach((node, index) => {
      const before = kept[index];
      if (!before) old.append(node);
      else if (alike(before, node)) morph(before, node);
      else before.replaceWith(node);
    });
    kept.slice(wanted.length).forEach((node) => node.remove());
  };

  // The section of the tenants holds them in the order it tells; they come as parts of their own.
  const order = (section) => {
    const ids = section.dataset.order.split(" ").filter(Boolean);
    section.querySelectorAll(":scope > .tenant").forEach((tenant) => {
      if (!ids.includes(tenant.id)) tenant.remove();
    });
    let last = section.querySelector(".heads");
    for (const id of ids) {
      const tenant = document.getElementById(id);
      if (!tenant) continue;
      if (last.nextElementSibling !== tenant) last.after(tenant);
      last = tenant;
    }
  };

  const place = (html) => {
    const template = document.createElement("template");
    template.innerHTML = html;
    const next = template.content.firstElementChild;
    const old = document.getElementById(next.id);
    const section = document.getElementById("tenants");
    if (next.id === "tenants") {
      for (const { name, value } of [...next.attributes]) section.setAttribute(name, value);
      section.toggleAttribute("hidden", next.hasAttribute("hidden"));
      const [title, before] = [next.querySelector("h2"), section.querySelector("h2")];
      if (title && before) morph(before, title);
      else if (title) section.prepend(title);
      order(section);
    } else if (!old) {
      section.append(next);
      order(section);
    } else if (alike(old, next)) {
      morph(old, next);
    } else {
      old.replaceWith(next);
      order(section);
    }
    if (next.id === "state") tab(document.getElementById("state"));
    buttons();
  };

  // A button beside every command that copies it.
  const buttons = () => {
    if (!navigator.clipboard) return;
    document.querySelectorAll(".command").forEach((command) => {
      if (command.querySelector("button")) return;
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.own = "1";
      button.textContent = "Copy";
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(command.querySelector("code").textContent);
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = "Copy"; }, 1500);
      });
      command.append(button);
    });
  };

  const said = (text, lost) => {
    const connection = document.getElementById("connection");
    connection.textContent = text;
    main.classList.toggle("lost", lost);
  };

  const listen = () => {
    const events = new EventSource(document.body.dataset.events);
    events.addEventListener("part", (event) => { place(event.data); said("live, as of", false); });
    events.addEventListener("error", () => {
      said("not connected, as of", true);
      // A browser tries again by itself only if it was answered before.
      if (events.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
    });
  };

  tab(document.getElementById("state"));
  buttons();
  listen();
})();
