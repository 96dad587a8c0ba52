// Forms with data-passkey ask the browser for a passkey, put its answer into their hidden fields and are sent as usual.
"use strict";

const decode = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
const encode = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const withIds = (descriptors) => (descriptors || []).map((each) => ({ ...each, id: decode(each.id) }));

function toCreate(options) {
  return {
    ...options,
    challenge: decode(options.challenge),
    user: { ...options.user, id: decode(options.user.id) },
    excludeCredentials: withIds(options.excludeCredentials),
  };
}

function toGet(options) {
  return { ...options, challenge: decode(options.challenge), allowCredentials: withIds(options.allowCredentials) };
}

function toJson(credential) {
  const response = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[name]) response[name] = encode(credential.response[name]);
  }
  const { id, type, authenticatorAttachment } = credential;
  return { id, rawId: encode(credential.rawId), type, authenticatorAttachment, response, clientExtensionResults: {} };
}

async function ask(form) {
  const proof = new URLSearchParams({ form_proof: form.elements.form_proof.value });
  const answer = await fetch(form.dataset.options, { method: "POST", body: proof });
  if (!answer.ok) throw new Error("The page has expired. Please load it again.");
  const { options, ticket } = await answer.json();
  const credential =
    form.dataset.passkey === "create"
      ? await navigator.credentials.create({ publicKey: toCreate(options) })
      : await navigator.credentials.get({ publicKey: toGet(options) });
  form.elements.ticket.value = ticket;
  form.elements.credential.value = JSON.stringify(toJson(credential));
}

function explain(error) {
  if (error.name === "InvalidStateError") return "This device has a passkey for your account already.";
  if (error.name === "NotAllowedError") return "No passkey was used. Please try again.";
  return error.message || "Passkeys do not work in this browser.";
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const alert = form.querySelector('[role="alert"]');
    alert.hidden = true;
    try {
      await ask(form);
      form.submit();
    } catch (error) {
      alert.textContent = explain(error);
      alert.hidden = false;
    }
  });
}
