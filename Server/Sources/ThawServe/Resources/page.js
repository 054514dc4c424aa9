"use strict";
// Everything that comes from the server or from a file's name is put in as text, never as markup.
const part = (name) => document.getElementById(name);
let token = "";
let current = null;
let turn = 0;
let address = null;
let comparing = new Set();
let thumbnails = [];

function say(text, isBad = false) {
  part("state").textContent = text;
  part("state").className = isBad ? "bad" : "";
}

function ask(path, options = {}) {
  const headers = token ? { Authorization: "Bearer " + token } : {};
  return fetch(path, { ...options, headers, cache: "no-store" });
}

async function answerOf(response) {
  let document;
  try { document = await response.json(); } catch { document = {}; }
  if (response.status === 401) {
    part("token-row").hidden = false;
    part("token").focus();
  }
  if (!response.ok) throw new Error(document.error || "The server answered " + response.status + ".");
  return document;
}

async function loadModels() {
  try {
    const models = await answerOf(await ask("models"));
    const select = part("model");
    const chosen = select.value;
    comparing = new Set(models.filter((model) => model.similar).map((model) => model.name));
    select.replaceChildren(...models.map((model) => {
      const option = document.createElement("option");
      option.value = model.name;
      option.textContent = isolated(model.name) + " (" + model.classes.length + " classes)";
      return option;
    }));
    if (models.some((model) => model.name === chosen)) select.value = chosen;
    part("model-row").hidden = models.length < 2;
    part("token-row").hidden = true;
    say("");
    return true;
  } catch (error) {
    say(error.message, true);
    return false;
  }
}

function percent(probability) {
  return (100 * probability).toFixed(1) + " %";
}

// A name keeps its own writing direction, and does not turn round what stands beside it.
function isolated(name) {
  return "\u2068" + name + "\u2069";
}

function said(one) {
  return isolated(one.label) + (one.probability === undefined ? "" : ", " + percent(one.probability));
}

async function classify(file, chosenClass = null) {
  if (!file) return;
  current = file;
  const own = ++turn;
  say("Looking at " + (file.name ? isolated(file.name) : "the photo") + " …");
  const query = new URLSearchParams({ top: "5", heat_map: "overlay" });
  if (chosenClass !== null) query.set("class", chosenClass);
  if (comparing.has(part("model").value)) query.set("similar", "6");
  const path = "predict/" + encodeURIComponent(part("model").value);
  try {
    let response = await ask(path + "?" + query, { method: "POST", body: file });
    // A network without an image in front of its head has no heat map, but has an answer.
    if (response.status === 422 && chosenClass === null) {
      query.delete("heat_map");
      response = await ask(path + "?" + query, { method: "POST", body: file });
    }
    const answer = await answerOf(response);
    if (own === turn) show(file, answer);
  } catch (error) {
    if (own !== turn) return;
    part("result").hidden = true;
    say(error.message, true);
  }
}

function show(file, answer) {
  if (address) URL.revokeObjectURL(address);
  address = URL.createObjectURL(file);
  const photo = part("photo");
  photo.onerror = () => { photo.hidden = true; };
  photo.hidden = false;
  photo.src = address;
  photo.alt = "the photo";
  part("photo-name").textContent = file.name || "pasted photo";
  part("answer").textContent = answer.labels
    ? (answer.labels.map(said).join("; ") || "no label")
    : said(answer);
  const undecided = answer.undecided
    ? "No class reaches the probability that the model asks of it; most probable is " + said(answer.top[0]) + ". "
    : "";
  part("remark").textContent = undecided + (answer.unknown
    ? "Unlike anything it was trained on (score " + answer.unknown_score.toFixed(2) + ", 19 of 20 of its own"
      + " photos are below " + answer.unknown_threshold.toFixed(2) + ")."
    : "");
  const heat = answer.heat_map;
  part("heat-figure").hidden = !heat;
  if (heat) {
    part("heat").src = "data:image/png;base64," + heat.overlay;
    part("heat").alt = "the part that the network sees, bright where something speaks for " + heat.label;
    part("heat-text").textContent = "What speaks for " + isolated(heat.label);
  }
  showSimilar(answer.similar || []);
  // Whoever chose a class by the keyboard goes on from there: the buttons are new ones.
  const wasInTable = part("top").contains(document.activeElement);
  part("top").replaceChildren(...answer.top.map((one) => {
    const row = document.createElement("tr");
    const name = row.insertCell();
    const button = document.createElement("button");
    button.type = "button";
    button.dir = "auto";
    button.textContent = one.label;
    button.setAttribute("aria-pressed", String(Boolean(heat) && heat.label === one.label));
    button.addEventListener("click", () => classify(current, one.label));
    name.append(heat ? button : document.createTextNode(one.label));
    const value = row.insertCell();
    const bar = document.createElement("progress");
    bar.max = 1;
    bar.value = one.probability;
    bar.setAttribute("aria-label", percent(one.probability));
    value.append(document.createTextNode(percent(one.probability)), bar);
    return row;
  }));
  part("result").hidden = false;
  if (wasInTable) part("top").querySelector('button[aria-pressed="true"]')?.focus();
  say("Answered by " + answer.model + ", version " + answer.model_version + ".");
}

// Photos come with the token, which the browser would not send for an address in src.
function showSimilar(photos) {
  for (const old of thumbnails) URL.revokeObjectURL(old);
  thumbnails = [];
  const own = turn;
  part("similar").hidden = photos.length === 0;
  part("similar-photos").replaceChildren(...photos.map((photo) => {
    const item = document.createElement("li");
    const image = document.createElement("img");
    image.alt = photo.path;
    const name = document.createElement("span");
    name.textContent = isolated(photo.path) + ", " + photo.similarity.toFixed(2);
    item.append(image, name);
    ask("similar/" + photo.index).then(async (response) => {
      if (!response.ok || own !== turn) return;
      const shown = URL.createObjectURL(await response.blob());
      thumbnails.push(shown);
      image.src = shown;
    }).catch(() => {});
    return item;
  }));
}

part("file").addEventListener("change", (event) => classify(event.target.files[0]));
part("model").addEventListener("change", () => classify(current));
part("token-row").addEventListener("submit", async (event) => {
  event.preventDefault();
  token = part("token").value.trim();
  if (await loadModels()) classify(current);
});
document.addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files][0];
  if (file) classify(file);
});
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    part("drop").classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) part("drop").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  part("drop").classList.remove("over");
  classify([...event.dataTransfer.files][0]);
});
loadModels();
