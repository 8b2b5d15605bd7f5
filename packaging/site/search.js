"use strict";
// Every word that is typed must be in a section; names count most, then headings, then the text.
const input = document.getElementById("search");
const results = document.getElementById("results");

function score(entry, words) {
    const [, title, heading, text] = entry.map(part => part.toLowerCase());
    let sum = 0;
    for (const word of words) {
        let value = 0;
        if (title === word) value = 100;
        else if (title.includes(word)) value = 20;
        if (heading.includes(word)) value += 15;
        if (text.includes(word)) value += 1 + Math.min(4, text.split(word).length - 1);
        if (value === 0) return 0;
        sum += value;
    }
    return sum;
}

function excerpt(text, words) {
    const place = Math.max(0, text.toLowerCase().indexOf(words[0]) - 60);
    const piece = (place > 0 ? "… " : "") + text.slice(place, place + 180);
    const pattern = words.map(word => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
    const span = document.createElement("small");
    for (const [i, part] of piece.split(new RegExp(`(${pattern})`, "i")).entries()) {
        const node = i % 2 ? document.createElement("mark") : document.createTextNode(part);
        if (i % 2) node.textContent = part;
        span.append(node);
    }
    return span;
}

function search() {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    results.replaceChildren();
    results.hidden = words.length === 0;
    if (words.length === 0) return;
    const found = INDEX.map(entry => [score(entry, words), entry]).filter(([value]) => value > 0)
        .sort((a, b) => b[0] - a[0]).slice(0, 12);
    for (const [, [path, title, heading, text]] of found) {
        const link = document.createElement("a");
        link.href = UP + path;
        link.textContent = heading ? `${title}: ${heading}` : title;
        const item = document.createElement("li");
        item.append(link, excerpt(text, words));
        results.append(item);
    }
    if (found.length === 0) {
        const item = document.createElement("li");
        item.textContent = "Nothing found.";
        results.append(item);
    }
}

input.addEventListener("input", search);
input.form.addEventListener("submit", event => {
    event.preventDefault();
    const first = results.querySelector("a");
    if (first) location.href = first.href;
});
// A page that is opened as page.html?q=words searches at once.
input.value = new URLSearchParams(location.search).get("q") || "";
search();
