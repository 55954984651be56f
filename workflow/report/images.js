"use strict";
// The browser of images: filters, thumbnails, one image in detail, and the classes that adversarials are taken for.
{
const data = JSON.parse(document.getElementById("image-data").textContent);
const [channels, height, width] = data.size, size = channels * height * width;
const PAGE = 1000, FEW = 20;  // images shown at once; classes up to which all pairs of them are laid out
const element = (id) => document.getElementById(id);
const form = element("filters"), thumbs = element("thumbs"), detail = element("detail");
let matching = [], drawn = 0, current = null;

// ---- what was found: the outcome of a case on an image, and how it is written

function state(found, row) {
  const distance = found.distance[row];
  if (distance === null) return null;  // not attacked
  if (distance === 0) return "misclassified";
  return distance < 0 ? "failed" : "found";
}

function bracket(found, row) {
  return found.bracket && found.bracket[row] !== null ? found.bracket[row] : "unbounded";
}

function written(distance, norm) {
  if (distance === null) return "–";
  return distance < 0 ? "∞" : distance.toFixed(data.norms[norm].decimals);
}

const escaped = (text) => String(text).replace(/[&<>"]/g, (mark) => `&#${mark.charCodeAt(0)};`);
const title = (norm, attack) => (data.titles[norm] || {})[attack] || attack;
const named = Object.values(data.models);
const label = (model) => named.filter((name) => name === data.models[model]).length > 1
  ? `${data.models[model]} (${model})` : data.models[model];

// ---- filters

function options(select, entries, chosen) {
  const first = [...select.options].filter((option) => option.value === "");
  select.replaceChildren(...first, ...entries.map(([value, text]) => new Option(text, value)));
  select.value = entries.some(([value]) => String(value) === chosen) ? chosen : select.options[0].value;
}

const distinct = (values) => [...new Set(values)].sort((a, b) => a - b);
const ordered = (cases) => cases.sort((a, b) => rank(a.model) - rank(b.model));  // as the page's tables are
const inNorm = (norm) => ordered(data.cases.filter((found) => found.norm === norm));
const norms = Object.keys(data.norms).filter((norm) => inNorm(norm).length);
const chosen = () => Object.fromEntries([...form.querySelectorAll("select")].map((one) => [one.name, one.value]));

function fill() {
  const want = chosen(), select = (name) => form.querySelector(`[name=${name}]`);
  const cases = inNorm(want.norm || norms[0]);
  options(select("norm"), norms.map((norm) => [norm, data.norms[norm].title]), want.norm);
  options(select("model"), cases.map((found) => [found.model, label(found.model)]), want.model);
  const used = distinct(cases.flatMap((found) => found.attack)).filter((one) => one !== null && data.attacks[one]);
  options(select("attack"), used.map((one) => [one, title(cases[0].norm, data.attacks[one])]), want.attack);
  options(select("label"), distinct(data.label).map((one) => [one, one]), want.label);
  const taken = cases.flatMap((found) => found.prediction.filter((one, row) => state(found, row) === "found"));
  options(select("prediction"), distinct(taken).map((one) => [one, one]), want.prediction);
}

function meets(found, row, want) {
  const outcome = state(found, row);
  if (outcome === null) return false;
  if (want.attack !== "" && found.attack[row] !== Number(want.attack)) return false;
  if (want.prediction !== "" && (outcome !== "found" || found.prediction[row] !== Number(want.prediction))) return false;
  if (want.state === "misclassified" || want.state === "failed") return outcome === want.state;
  return want.state === "" || bracket(found, row) === want.state;
}

function smallest(cases, row) {
  const reached = cases.map((found) => found.distance[row]).filter((one) => one !== null);
  return reached.length ? Math.min(...reached.map((one) => (one < 0 ? Infinity : one))) : NaN;
}

function filter() {
  const want = chosen();
  const cases = inNorm(want.norm).filter((found) => want.model === "" || found.model === want.model);
  matching = [];
  data.label.forEach((own, row) => {
    if (want.label !== "" && own !== Number(want.label)) return;
    const met = cases.filter((found) => meets(found, row, want));
    if (met.length) matching.push({ row, distance: smallest(met, row) });
  });
  const sign = want.order === "down" ? -1 : 1;
  const apart = (a, b) => (a.distance === b.distance ? 0 : a.distance < b.distance ? -sign : sign);
  if (want.order) matching.sort(apart);
  const n = data.label.length;
  element("shown").textContent = matching.length
    ? `${matching.length} of ${n} image${n === 1 ? "" : "s"}` : `None of ${n} image${n === 1 ? "" : "s"} meets all that is chosen.`;
  thumbs.hidden = !matching.length;
  thumbs.scrollTop = drawn = 0;
  thumbs.innerHTML = "";
  more();
}

function more() {
  const norm = chosen().norm, side = Math.max(1, Math.floor(60 / Math.max(height, width)));
  const columns = Math.ceil(Math.sqrt(data.sheet));
  const parts = matching.slice(drawn, drawn + PAGE).map(({ row, distance }) => {
    const at = `-${(row % columns) * width * side}px -${Math.floor(row / columns) * height * side}px`;
    const picture = row < data.sheet ? `<i style="background-position:${at}"></i>` : "";
    const reached = written(Number.isFinite(distance) ? distance : -1, norm);
    return `<button type="button" data-row="${row}" aria-pressed="${row === current}" `
      + `aria-label="image ${row}, class ${data.label[row]}, distance ${reached}">${picture}${reached}</button>`;
  });
  thumbs.querySelector(".more")?.remove();
  drawn += parts.length;
  const left = matching.length - drawn;
  if (left) parts.push(`<button type="button" class="more">${left} more</button>`);
  thumbs.insertAdjacentHTML("beforeend", parts.join(""));
}

// ---- pictures: unpacked block by block, drawn pixel by pixel

const blocks = new Map();

function unpacked(id) {
  if (!blocks.has(id)) {
    if (blocks.size > 9) blocks.delete(blocks.keys().next().value);
    const packed = Uint8Array.from(atob(element(id).textContent), (mark) => mark.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    blocks.set(id, new Response(stream).arrayBuffer().then((buffer) => new Uint8Array(buffer)));
  }
  return blocks.get(id);
}

const placed = (bytes) => (slot) => bytes.subarray(slot * size, (slot + 1) * size);  // one picture by its number

async function picturesOf(row) {
  if (row >= data.pictured || !window.DecompressionStream) return null;
  const number = Math.floor(row / data.block), start = number * data.block, among = row - start;
  const n = Math.min(data.sheet - start, data.block);
  const at = placed(await unpacked(`pixels-${number}`));
  const clean = at(among), changes = data.cases.map((_, i) => at(n * (i + 1) + among));
  const made = row < data.made ? reconstructed(row, placed(await unpacked(`made-${number}`)), start, start + n) : [];
  return { clean, made, adversarials: changes.map((change) => change.map((value, i) => value + clean[i])) };
}

function reconstructed(row, at, start, stop) {
  const made = [];
  let slot = 0;
  for (const found of data.reconstructed) {
    const inside = found.place.map((place, i) => [place, i]).filter(([place]) => place >= start && place < stop);
    const nth = inside.findIndex(([place]) => place === row);
    if (nth >= 0) made.push({ ...found, i: inside[nth][1], pictures: [0, 1, 2, 3].map((k) => at(slot + 4 * nth + k)) });
    slot += 4 * inside.length;
  }
  return made;
}

function canvas(values, name) {  // values(channel, pixel) in 0 to 255
  const made = Object.assign(document.createElement("canvas"), { width, height });
  const image = new ImageData(width, height), area = width * height;
  for (let pixel = 0; pixel < area; pixel++) {
    for (let k = 0; k < 3; k++) image.data[4 * pixel + k] = values(k, pixel);
    image.data[4 * pixel + 3] = 255;
  }
  made.getContext("2d").putImageData(image, 0, 0);
  made.setAttribute("role", "img");
  made.setAttribute("aria-label", name);
  return made;
}

const picture = (bytes, name) =>
  canvas((k, pixel) => bytes[(channels === 1 ? 0 : k) * width * height + pixel], name);
const LESS = [33, 102, 172], MORE = [178, 24, 43];

function difference(clean, adversarial, name) {
  let largest = 1;
  clean.forEach((value, i) => { largest = Math.max(largest, Math.abs(adversarial[i] - value)); });
  return canvas((k, pixel) => {
    const i = (channels === 1 ? 0 : k) * width * height + pixel, share = (adversarial[i] - clean[i]) / largest;
    if (channels > 1) return 127.5 + 127.5 * share;
    return 255 + Math.abs(share) * ((share < 0 ? LESS : MORE)[k] - 255);
  }, name);
}

// ---- one image in detail

const HEAD = ["model", "adversarial", "difference", "distance", "mistaken for", "lower bound", "bracket", "best attack"];

function line(found, row) {
  const outcome = state(found, row), name = escaped(label(found.model)), distance = written(found.distance[row], found.norm);
  const known = found.lower && found.lower[row] !== null;
  const bound = known ? `${written(found.lower[row], found.norm)} (${escaped(found.basis)})` : "–";
  const cell = (text, sort, kind = "") => `<td${kind} data-sort="${sort ?? ""}">${text}</td>`;
  const reached = found.distance[row] < 0 ? 1e308 : found.distance[row];
  const pictures = {
    found: '<td class="adversarial"></td><td class="difference"></td>',
    misclassified: '<td class="text">misclassified as it is</td><td>–</td>',
    failed: '<td class="text">every attack failed</td><td>–</td>',
  }[outcome];
  const taken = outcome === "failed" ? cell("–") : cell(found.prediction[row], found.prediction[row]);
  const attack = outcome === "found" ? escaped(title(found.norm, data.attacks[found.attack[row]])) : "–";
  return `<tr data-case="${data.cases.indexOf(found)}"><td class="text${name.length > 30 ? " wide" : ""}" data-sort="${name}">${name}</td>${pictures}`
    + cell(distance, reached) + taken + cell(bound, known ? found.lower[row] : "")
    + cell(known ? { between: "neither" }[bracket(found, row)] || bracket(found, row) : "–", bracket(found, row), ' class="text"')
    + cell(attack, attack, ' class="text"') + "</tr>";
}

function table(row) {
  const norm = chosen().norm, groups = [norm, ...norms.filter((one) => one !== norm)].map((one) => {
    const rows = inNorm(one).filter((found) => state(found, row) !== null).map((found) => line(found, row));
    const first = `<tr class="title"><th colspan="${HEAD.length}" scope="rowgroup">${data.norms[one].title}</th></tr>`;
    return rows.length ? `<tbody>${first}${rows.join("")}</tbody>` : "";
  });
  const plain = new Set(["adversarial", "difference"]), texts = new Set(["model", "bracket", "best attack"]);
  const head = HEAD.map((name) => `<th scope="col"${texts.has(name) ? ' class="text"' : ""}>`
    + (plain.has(name) ? name : `<button type="button" title="sort">${name}</button>`) + "</th>");
  return `<div class="scroll"><table><thead><tr>${head.join("")}</tr></thead>${groups.join("")}</table></div>`;
}

function figure(image, text) {
  const made = document.createElement("figure");
  made.append(image, Object.assign(document.createElement("div"), { textContent: text }));
  return made;
}

function reconstructions(clean, made, adversarials, row) {
  const title = document.createElement("h3"), rows = document.createElement("div");
  title.textContent = `Reconstructions by ${label(made.model)}, ${data.norms[made.norm].title}`;
  rows.className = "made";
  const adversarial = adversarials[data.cases.findIndex((one) => one.model === made.model && one.norm === made.norm)];
  const classes = [data.label[row], made.rival[made.i]];
  [["image", clean], ["adversarial", adversarial]].forEach(([name, bytes], i) => {
    const group = document.createElement("div");
    if (bytes) group.append(figure(picture(bytes, name), name));
    classes.forEach((own, k) => {
      const text = `by class ${own}: energy ${made.energy[made.i][2 * i + k].toFixed(1)}`;
      group.append(figure(picture(made.pictures[2 * i + k], text), text));
    });
    rows.append(group);
  });
  detail.append(title, rows);
}

function missing(row, made) {  // why a model's reconstructions of an image are not there
  for (const one of ordered([...data.reconstructed])) {
    if (made.some((other) => other.model === one.model)) continue;
    const found = data.cases.find((other) => other.model === one.model && other.norm === one.norm);
    const text = document.createElement("p");
    text.className = "soft";
    text.append(`No reconstructions by ${label(one.model)}: `);
    if (one.place.includes(row)) text.append("with them the page would exceed 25 MB; the run's files have them.");
    else if (state(found, row) !== "found") text.append(`it has no adversarial of this image in ${data.norms[one.norm].title}.`);
    else others(text, one.place.filter((place) => place < data.made));
    detail.append(text);
  }
}

function others(text, places) {
  text.append("the run made them of other images alone (figures: reconstructed in its configuration). ");
  places.slice(0, FEW).forEach((place, i) => {
    const link = Object.assign(document.createElement("a"), { href: "#detail", textContent: place });
    link.dataset.row = place;
    text.append(i ? ", " : "Of ", link);
  });
  if (places.length > FEW) text.append(` and ${places.length - FEW} more`);
}

async function show(row) {
  current = row;
  for (const one of thumbs.querySelectorAll("[aria-pressed]")) one.setAttribute("aria-pressed", Number(one.dataset.row) === row);
  const place = matching.findIndex((one) => one.row === row);
  const step = (name, to, text) => `<button type="button" data-row="${to ? to.row : ""}" ${to ? "" : "disabled"} aria-label="${name}">${text}</button>`;
  const pictures = await picturesOf(row);
  if (current !== row) return;  // another was clicked meanwhile
  detail.innerHTML = `<div class="steps"><span class="clean"></span><h3>Image ${row}, class ${data.label[row]}</h3>`
    + step("previous image", matching[place - 1], "←") + step("next image", place >= 0 ? matching[place + 1] : null, "→") + "</div>"
    + table(row);
  if (!pictures) {
    const reason = window.DecompressionStream ? "The page has no pictures of this image." : "This browser is too old for the pictures.";
    detail.insertAdjacentHTML("beforeend", `<p class="soft">${reason}</p>`);
    for (const cell of detail.querySelectorAll(".adversarial, .difference")) cell.textContent = "–";
    return;
  }
  const { clean, made, adversarials } = pictures;
  detail.querySelector(".clean").append(picture(clean, `image ${row}`));
  for (const one of detail.querySelectorAll("tr[data-case]")) {
    const number = Number(one.dataset.case), name = label(data.cases[number].model);
    one.querySelector(".adversarial")?.append(picture(adversarials[number], `adversarial of ${name}`));
    one.querySelector(".difference")?.append(difference(clean, adversarials[number], `difference, ${name}`));
  }
  ordered(made).forEach((one) => reconstructions(clean, one, adversarials, row));
  missing(row, made);
}

// ---- what adversarials are mistaken for

function confusion() {
  const box = element("confused"), norm = box.querySelector("[name=norm]"), model = box.querySelector("[name=model]");
  options(norm, norms.map((one) => [one, data.norms[one].title]), norm.value);
  options(model, inNorm(norm.value).map((found) => [found.model, label(found.model)]), model.value);
  const found = data.cases.find((one) => one.norm === norm.value && one.model === model.value), counts = new Map();
  found.distance.forEach((_, row) => {
    const pair = `${data.label[row]} ${found.prediction[row]}`;
    if (state(found, row) === "found") counts.set(pair, (counts.get(pair) || 0) + 1);
  });
  const pairs = [...counts].map(([pair, n]) => [...pair.split(" ").map(Number), n]);
  const classes = distinct(pairs.flatMap(([own, other]) => [own, other]));
  element("confusion").innerHTML = !pairs.length ? "<p>No attack found an adversarial here.</p>"
    : classes.length > FEW ? listed(pairs) : laid(pairs, classes);
}

const button = (own, other, n) =>
  `<button type="button" data-label="${own}" data-prediction="${other}" aria-label="${n} of class ${own} mistaken for ${other}">${n}</button>`;

function laid(pairs, classes) {
  const most = Math.max(...pairs.map(([, , n]) => n)), by = new Map(pairs.map(([own, other, n]) => [`${own} ${other}`, n]));
  const rows = classes.map((own) => `<tr><th scope="row">${own}</th>` + classes.map((other) => {
    const n = by.get(`${own} ${other}`);
    const shade = n ? ` style="background:rgb(11 92 138 / ${(0.08 + 0.47 * n / most).toFixed(2)})"` : "";
    return `<td${shade}>${n ? button(own, other, n) : own === other ? "" : "·"}</td>`;
  }).join("") + "</tr>");
  const head = `<tr><th scope="col">class</th>${classes.map((own) => `<th scope="col">${own}</th>`).join("")}</tr>`;
  return `<p class="soft">Rows: the image's class; columns: the class that its best adversarial is taken for. A click on a number `
    + `shows these images above.</p><div class="scroll"><table><thead>${head}</thead><tbody>${rows.join("")}</tbody></table></div>`;
}

function listed(pairs) {
  const top = pairs.sort((a, b) => b[2] - a[2]).slice(0, 2 * FEW).map(([own, other, n]) =>
    `<tr><td>${own}</td><td>${other}</td><td>${button(own, other, n)}</td></tr>`);
  return `<p class="soft">The ${top.length} most frequent of ${pairs.length} pairs; all are in tables/confusion.csv.</p><div class="scroll long"><table>`
    + `<thead><tr><th>class</th><th>mistaken for</th><th>images</th></tr></thead><tbody>${top.join("")}</tbody></table></div>`;
}

// ---- events

form.addEventListener("change", (event) => {
  if (event.target.name === "norm") fill();
  filter();
  if (current !== null) show(current);
});
element("reset").addEventListener("click", () => {
  for (const one of form.querySelectorAll("select")) if (one.name !== "norm") one.value = "";
  filter();
});
thumbs.addEventListener("click", (event) => {
  const one = event.target.closest("button");
  if (!one) return;
  if (one.classList.contains("more")) more();
  else show(Number(one.dataset.row)).then(() => detail.scrollIntoView({ block: "nearest" }));
});
detail.addEventListener("click", (event) => {
  const one = event.target.closest("[data-row]");
  if (!one || one.dataset.row === "") return;
  event.preventDefault();
  show(Number(one.dataset.row));
});
element("confused").addEventListener("change", confusion);
ordering?.addEventListener("change", () => {
  fill();
  confusion();
  if (current !== null) show(current);
});
element("confusion").addEventListener("click", (event) => {
  const one = event.target.closest("button");
  if (!one) return;
  const box = element("confused"), want = { ...one.dataset };
  for (const name of ["norm", "model"]) want[name] = box.querySelector(`[name=${name}]`).value;
  element("reset").click();
  form.querySelector("[name=norm]").value = want.norm;
  fill();
  for (const [name, value] of Object.entries(want)) form.querySelector(`[name=${name}]`).value = value;
  filter();
  form.scrollIntoView();
});
fill();
filter();
confusion();
}
