"""A stand-in for Stripe that speaks its HTTP: PaymentIntents, refunds, idempotency keys, errors, signed events.

`faults` are used up by the writes that come, one each: "error" answers 500 before anything is done, "drop" cuts the
connection before, "lose" afterwards, "slow" answers after the client's patience has ended.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import stripe
from flask import Flask, Response, request
from werkzeug.serving import make_server

from tests.support.serving import serving

API_KEY, WEBHOOK_SECRET = "sk_test_only_in_tests", "whsec_only_in_tests"
SLOW_SECONDS = 1.5
DECLINED = {
    "tok_chargeDeclined": ("card_declined", "generic_decline"),
    "tok_chargeDeclinedInsufficientFunds": ("card_declined", "insufficient_funds"),
    "tok_chargeDeclinedExpiredCard": ("expired_card", None),
}
GOOD = {"tok_visa", "pm_card_visa"}
LATE = "pm_usBankAccount_processing"

Answer = tuple[int, dict[str, Any]]


@dataclass
class StripeStandIn:
    url: str = ""
    intents: dict[str, dict[str, Any]] = field(default_factory=dict)
    refunds: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    refund_status: str = "succeeded"
    _answers: dict[str, tuple[dict[str, Any], Answer | None]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def captured(self) -> int:
        return sum(each["amount_received"] for each in self.intents.values())

    @property
    def refunded(self) -> int:
        return sum(each["amount"] for each in self.refunds.values() if each["status"] != "failed")

    def forget_keys(self) -> None:
        """A day goes by."""
        self._answers.clear()

    def decide(self, intent_id: str, status: str = "succeeded") -> None:
        """What was processing comes to its end."""
        intent = self.intents[intent_id]
        intent["status"] = status
        if status == "succeeded":
            intent["amount_received"] = intent["amount"]
        elif status == "requires_payment_method":
            intent["last_payment_error"] = {"code": "payment_method_bank_account_closed", "type": "card_error"}

    def event(self, about: dict[str, Any], kind: str, event_id: str = "evt_1", at: int | None = None) -> Any:
        """A webhook as (body, headers)."""
        told = {"id": event_id, "object": "event", "type": kind, "data": {"object": about}}
        body = orjson.dumps(told, option=orjson.OPT_INDENT_2)
        signature = stripe.WebhookSignature.generate_signature_header(body.decode(), WEBHOOK_SECRET, at)
        return body, {"Stripe-Signature": signature, "Content-Type": "application/json; charset=utf-8"}

    def app(self) -> Flask:
        app = Flask("stripe")
        app.before_request(_refuse_strangers)
        app.add_url_rule("/v1/payment_intents", view_func=self._write(self._create), methods=["POST"], endpoint="pi")
        app.add_url_rule("/v1/payment_intents", view_func=self._list_intents, methods=["GET"])
        app.add_url_rule("/v1/payment_intents/<intent_id>", view_func=self._retrieve, methods=["GET"])
        app.add_url_rule("/v1/refunds", view_func=self._write(self._refund), methods=["POST"], endpoint="re")
        app.add_url_rule("/v1/refunds", view_func=self._list_refunds, methods=["GET"])
        return app

    def _write(self, work: Any) -> Any:
        def answer() -> Response:
            with self._lock:
                fault = self.faults.pop(0) if self.faults else None
            if fault == "error":
                return _json(500, _error("api_error", None, "An unknown error occurred"))
            if fault == "drop":
                return _cut()
            code, document = self._once(work)
            if fault == "slow":
                time.sleep(SLOW_SECONDS)
            return _cut() if fault == "lose" else _json(code, document)

        return answer

    def _once(self, work: Any) -> Answer:
        """The first answer for an idempotency key is repeated; the key with other parameters is refused."""
        key, form = request.headers.get("Idempotency-Key"), request.form.to_dict()
        if key is None:
            return work(form)  # type: ignore[no-any-return]
        with self._lock:
            if key in self._answers:
                before, known = self._answers[key]
                if before != form:
                    return 400, _error("idempotency_error", None, "Keys can only be used with the same parameters")
                if known is None:
                    return 409, _error("invalid_request_error", "lock_timeout", "Another request is using this key")
                return known
            self._answers[key] = (form, None)
        answer: Answer = work(form)
        with self._lock:
            self._answers[key] = (form, answer)
        return answer

    def _create(self, form: dict[str, str]) -> Answer:
        method = form.get("payment_method_data[card][token]") or form["payment_method"]
        if method not in GOOD | set(DECLINED) | {LATE}:
            return 400, _error("invalid_request_error", "resource_missing", f"No such PaymentMethod: '{method}'")
        if int(form["amount"]) < 50:
            return 400, _error("invalid_request_error", "amount_too_small", "Amount must be at least 50 cents")
        assert form["confirm"] == "true"
        intent = self._new_intent(form)
        if method in DECLINED:
            code, decline_code = DECLINED[method]
            intent["last_payment_error"] = {"code": code, "decline_code": decline_code, "type": "card_error"}
            declined = _error("card_error", code, "Your card was declined.")
            declined["error"] |= {"decline_code": decline_code, "payment_intent": intent}
            return 402, declined
        if method == LATE:
            intent["status"] = "processing"
        else:
            self.decide(intent["id"])
        return 200, dict(intent)

    def _new_intent(self, form: dict[str, str]) -> dict[str, Any]:
        metadata = {name[9:-1]: value for name, value in form.items() if name.startswith("metadata[")}
        intent = {"id": f"pi_{len(self.intents):04}", "object": "payment_intent", "amount": int(form["amount"])}
        intent |= {"amount_received": 0, "currency": form["currency"], "metadata": metadata}
        intent |= {"status": "requires_payment_method", "last_payment_error": None, "created": int(time.time())}
        with self._lock:
            self.intents[str(intent["id"])] = intent
        return intent

    def charge_unasked(self, amount: int, key: str | None = None) -> str:
        """A charge of which nothing is known to the store."""
        form = {"amount": str(amount), "currency": "usd"} | ({"metadata[bookstore_payment]": key} if key else {})
        intent_id = str(self._new_intent(form)["id"])
        self.decide(intent_id)
        return intent_id

    def _retrieve(self, intent_id: str) -> Response:
        if intent_id not in self.intents:
            return _json(404, _error("invalid_request_error", "resource_missing", "No such payment_intent"))
        return _json(200, self._expanded(self.intents[intent_id]))

    def _expanded(self, intent: dict[str, Any]) -> dict[str, Any]:
        back = sum(each["amount"] for each in self._refunds_of(intent["id"]) if each["status"] != "failed")
        charge = {"id": f"ch_{intent['id']}", "object": "charge", "amount_refunded": back}
        return intent | {"latest_charge": charge}

    def _refunds_of(self, intent_id: str | None) -> list[dict[str, Any]]:
        return [each for each in self.refunds.values() if each["payment_intent"] == intent_id]

    def _list_intents(self) -> Response:
        since = int(request.args.get("created[gte]", 0))
        found = [self._expanded(each) for each in self.intents.values() if each["created"] >= since]
        return _page(found[::-1])

    def _list_refunds(self) -> Response:
        return _page(self._refunds_of(request.args.get("payment_intent")))

    def _refund(self, form: dict[str, str]) -> Answer:
        with self._lock:
            intent, amount = self.intents[form["payment_intent"]], int(form["amount"])
            left = intent["amount_received"] - self._expanded(intent)["latest_charge"]["amount_refunded"]
            if amount > left:
                return 400, _error("invalid_request_error", "charge_already_refunded", "It has already been refunded")
            metadata = {name[9:-1]: value for name, value in form.items() if name.startswith("metadata[")}
            made = {"id": f"re_{len(self.refunds):04}", "object": "refund", "amount": amount, "metadata": metadata}
            made |= {"payment_intent": intent["id"], "status": self.refund_status}
            self.refunds[str(made["id"])] = made
            return 200, dict(made)


def _refuse_strangers() -> Response | None:
    if request.headers.get("Authorization") != f"Bearer {API_KEY}":
        return _json(401, _error("invalid_request_error", None, "Invalid API Key provided"))
    return None


def _error(kind: str, code: str | None, message: str) -> dict[str, Any]:
    return {"error": {"type": kind, "message": message} | ({"code": code} if code else {})}


def _json(status: int, document: dict[str, Any]) -> Response:
    return Response(orjson.dumps(document), status, mimetype="application/json")


def _page(found: list[dict[str, Any]]) -> Response:
    limit, after = int(request.args.get("limit", 10)), request.args.get("starting_after")
    start = next((place + 1 for place, each in enumerate(found) if each["id"] == after), 0)
    page = found[start : start + limit]
    document = {"object": "list", "url": request.path, "data": page, "has_more": len(found) > start + limit}
    return _json(200, document)


def _cut() -> Response:
    """End the connection without a word."""
    request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    return Response()


@contextmanager
def stripe_stand_in() -> Iterator[StripeStandIn]:
    standing = StripeStandIn()
    server = make_server("127.0.0.1", 0, standing.app(), threaded=True)
    standing.url = f"http://127.0.0.1:{server.port}"
    with serving(server):
        yield standing
