// Says in time that the session is about to end, and keeps it alive while somebody types here.
(() => {
  "use strict";
  const warning = document.getElementById("idle");
  if (!warning) return;
  const { session, token, writer } = warning.dataset;
  const warnedBefore = Number(warning.dataset.before);
  const SECOND_MS = 1000;
  const TOLD_EVERY_MS = 60 * SECOND_MS;
  const sentence = warning.querySelector("[data-sentence]");
  const stay = warning.querySelector("button");
  let endsAt = Date.now() + Number(warning.dataset.left) * SECOND_MS;
  let toldAt = Date.now();
  let timer = 0;

  const show = (words) => {
    if (sentence.textContent !== words) sentence.textContent = words;
    warning.hidden = false;
  };

  const over = () => {
    stay.hidden = true;
    show(warning.dataset.over);
  };

  const ask = async (method) => {
    const body = method === "POST" ? new URLSearchParams({ csrf_token: token, writer }) : undefined;
    const headers = method === "POST" ? {} : { "X-Live": "1" };
    const answer = await fetch(session, { method, body, headers, redirect: "manual", cache: "no-store" });
    if (!answer.ok) return over();
    endsAt = Date.now() + (await answer.json()).left * SECOND_MS;
    if (endsAt - Date.now() > warnedBefore * SECOND_MS) warning.hidden = true;
    return look();
  };

  const look = () => {
    clearTimeout(timer);
    const left = (endsAt - Date.now()) / SECOND_MS;
    if (left <= 0) return over();
    const wait = left > warnedBefore ? left - warnedBefore : 15;
    if (left <= warnedBefore) {
      show(warning.dataset.soon.replace("{minutes}", Math.max(1, Math.round(left / 60))));
    }
    // Another page may have kept the session alive meanwhile: the server is asked before each word.
    timer = setTimeout(() => ask("GET").catch(() => look()), Math.min(wait, 600) * SECOND_MS);
    return undefined;
  };

  const note = () => {
    if (Date.now() - toldAt < TOLD_EVERY_MS || endsAt < Date.now()) return;
    toldAt = Date.now();
    ask("POST").catch(() => {});
  };

  stay.addEventListener("click", () => { toldAt = Date.now(); ask("POST").catch(() => {}); });
  for (const sign of ["input", "pointerdown", "keydown"]) {
    document.addEventListener(sign, note, { passive: true });
  }
  look();
})();
