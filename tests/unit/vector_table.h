/* SPDX-License-Identifier: MPL-2.0 */
/* vector_table.h - one row for each example of proto/vectors, in the order of PROTOCOL.md:
 * FORM(file, fuzzer, explanation, make, check, names of the fields). */

FORM("genesis", "token",
     "# The genesis of a federation: [1, name, HQ's first signing key, recovery key, created\n"
     "# (seconds since 1970), random].\n"
     "# federation = BLAKE2b-256(\"chapterd gen 1\" and 2 NULs || these bytes).",
     make_genesis_vector, check_genesis,
     LABELS("genesis", "version", "name", "HQ's signing key", "recovery key", "created",
            "random"))

FORM(
    "token", "token",
    "# An invitation.  token = \"chapterd1.\" || base64url without padding of (these bytes ||\n"
    "# the first 4 bytes of their BLAKE2b-256).\n"
    "# HQ keeps BLAKE2b-256(\"chapterd tok 1\" and 2 NULs || secret).",
    make_token_vector, check_token,
    LABELS("token", "version", "code", "chapter's name", "HQ's addresses", "address", "address",
           "HQ's CURVE key", ">genesis", "genesis", "version", "name", "HQ's signing key",
           "recovery key", "created", "random", "secret", "roster epoch", "roster seq",
           "expires"))

FORM(
    "roster-entry", "roster",
    "# A roster entry: the value in tier federation of a record of type chapter in HQ's feed.\n"
    "# Its record id is a UUIDv8: BLAKE2b-128(\"chapterd rid 1\" and 2 NULs || federation ||\n"
    "# code, 16 bytes) with version and variant set.",
    make_roster_entry, check_roster_entry, LABELS("roster entry"))

FORM("roster-entry-revoked", "roster",
     "# The same entry after HQ revoked the chapter, when it held (1, 5) of its feed: nobody\n"
     "# takes a head beyond that.",
     make_revoked_entry, check_revoked_entry, LABELS("roster entry"))

FORM(
    "member", "mp",
    "# A member's record as a change of both tiers: [type, id, seq, value of tier federation,\n"
    "# salt, value of tier hq].",
    make_member, check_member, LABELS(CHANGE_BOTH_LABELS))

FORM("removal", "mp",
     "# A removal: nil in every tier.  It is a leaf as any other, summed but not counted.",
     make_removal, check_removal, LABELS(CHANGE_BOTH_LABELS))

FORM(
    "leaf-federation", NULL,
    "# The leaf of tier federation of member.hex, as it is hashed (not MessagePack).\n"
    "# k = BLAKE2b-256(these bytes); E = ChaCha20 keystream(key k, nonce 0), 2,048 bytes; the\n"
    "# digest is of a feed that has this leaf alone: S = E, count = 1.",
    make_leaf_federation, check_leaf, NULL, 0)

FORM("leaf-hq", NULL, "# The leaf of tier hq of member.hex, which is salted.", make_leaf_hq,
     check_leaf, NULL, 0)

FORM("head-first", "head",
     "# HQ's first head: prev_seq is 0 and prev_hash zeros.  Its feed holds two roster "
     "entries.\n"
     "# The signature is Ed25519 over \"chapterd head 1\" and a NUL || version (1 byte) || "
     "body.",
     make_head_first, check_head_first, LABELS(HEAD_LABELS))

FORM("head", "head",
     "# A later head of the chapter fr: it covers seq 4 and 5.  After it the feed has one "
     "member\n"
     "# (member.hex) and one removal (removal.hex): the digests are of these two leaves.\n"
     "# head hash = BLAKE2b-256(\"chapterd head 1\" and a NUL || version (1 byte) || body).",
     make_head_later, check_head, LABELS(HEAD_LABELS))

FORM("beat", "head",
     "# fr's beat: head.hex is still its newest head; it has seen HQ's beat (3, 1200).\n"
     "# The signature is Ed25519 over \"chapterd beat 1\" and a NUL || version (1 byte) || "
     "body.",
     make_beat_vector, check_beat, LABELS(BEAT_LABELS))

FORM(
    "hello", "wire",
    "# 1, hello: what fr's node has, when it greets.  It holds its own feed in both tiers and\n"
    "# HQ's in tier federation.",
    make_hello, check_message,
    LABELS("message", "type: hello", "version of the protocol", "capabilities", "federation",
           "sender's code", "reply", "entries", ENTRY_LABELS, ENTRY_LABELS))

FORM("event-federation", "wire",
     "# 2, event, as it is published: leads from seq 3 to head.hex.", make_event_federation,
     check_message, LABELS(EVENT_LABELS, CHANGE_LABELS, CHANGE_LABELS))

FORM("event-both", "wire", "# 2, event, as fr announces it to HQ: with both tiers.",
     make_event_both, check_message,
     LABELS(EVENT_LABELS, CHANGE_BOTH_LABELS, CHANGE_BOTH_LABELS))

FORM("beat-message", "wire", "# 3, beat: carries beat.hex.", make_beat_message, check_message,
     LABELS("message", "type: beat", ">beat", BEAT_LABELS))

FORM("vector", "wire",
     "# 4, vector: the hash of the vector that hello.hex gives in full.\n"
     "# BLAKE2b-256(\"chapterd vec 1\" and 2 NULs || for each origin: code (16 bytes) || epoch "
     "(8)\n"
     "# || seq (8) || head hash (32)).",
     make_vector_message, check_message, LABELS("message", "type: vector", "hash"))

FORM("want", "wire",
     "# 5, want: HQ stands at fr's head 3 in both tiers and asks for what came since.",
     make_want, check_message,
     LABELS("message", "type: want", "request", "origin", "epoch", "since",
            "hash of the asker's head", "tiers", "credit"))

FORM("want-snapshot", "wire", "# 5, want, of a node that has nothing of fr: a snapshot.",
     make_want_snapshot, check_message,
     LABELS("message", "type: want", "request", "origin", "epoch", "since",
            "hash of the asker's head", "tiers", "credit"))

FORM("changes-first", "wire",
     "# 6, changes: the first chunk in answer to want-snapshot.hex, sent while the responder\n"
     "# stood at seq 3 (base).  No head: more follows.",
     make_changes_first, check_message, LABELS(CHANGES_LABELS, CHANGE_LABELS, "head"))

FORM("changes-last", "wire",
     "# 6, changes: the last chunk.  The feed moved on to seq 5 meanwhile: the member of\n"
     "# changes-first.hex comes again at a higher seq, and the organization, which the "
     "receiver\n"
     "# never saw, as a removal.  The list as a whole leads from nothing to this head.",
     make_changes_last, check_message,
     LABELS(CHANGES_LABELS, CHANGE_LABELS, CHANGE_LABELS, ">head", HEAD_LABELS))

FORM("credit", "wire", "# 7, credit: one more chunk may be sent.", make_credit, check_message,
     LABELS("message", "type: credit", "request", "chunks"))

FORM("evidence", "wire",
     "# 8, evidence: two heads of fr whose ranges (3, 5] and (3, 4] overlap.  A fork.",
     make_evidence, check_message,
     LABELS("message", "type: evidence", ">head", HEAD_LABELS, ">head", HEAD_LABELS))

FORM("evidence-single", "wire",
     "# 8, evidence with one head: what the sender remembers where the receiver says that it\n"
     "# stands at another.",
     make_evidence_single, check_message,
     LABELS("message", "type: evidence", ">head", HEAD_LABELS, "head"))

FORM("refusal", "wire", "# 9, refusal: the horizon or the epoch moved; ask again.",
     make_refusal, check_message, LABELS("message", "type: refusal", "request", "reason"))

FORM("enrol", "wire",
     "# 10, enrol: fr asks HQ for its place in the roster, with the secret of token.hex.\n"
     "# The signature is Ed25519 over \"chapterd enrol 1\" (16 bytes) || all bytes before it.",
     make_enrol, check_message,
     LABELS("message", "type: enrol", "version of the protocol", "secret", "code",
            "signing key", "CURVE key", "address", "signature"))

FORM("enrolled", "wire", "# 11, enrolled: ok; the entry is in HQ's feed from (1, 2) on.",
     make_enrolled, check_message,
     LABELS("message", "type: enrolled", "result", "roster epoch", "roster seq"))

FORM("epoch-request", "wire",
     "# 12, epoch request: fr stands at head.hex, and asks HQ to close its epoch and to open\n"
     "# the next one for a fresh instance.",
     make_epoch_request, check_message,
     LABELS("message", "type: epoch request", "instance", ">head", HEAD_LABELS))

FORM("epoch-reply", "wire", "# 13, epoch reply: HQ's roster names that instance now.",
     make_epoch_reply, check_message,
     LABELS("message", "type: epoch reply", "instance", "answer: granted"))

FORM("offer", "wire",
     "# 14, offer: the sender keeps fr's state at head.hex, of a closed epoch.", make_offer,
     check_message, LABELS("message", "type: offer", "tiers", ">head", HEAD_LABELS))

FORM("settled", "wire", "# 15, settled: fr has looked at what was offered at head.hex.",
     make_settled, check_message, LABELS("message", "type: settled", "hash of the head"))

FORM("closure", "wire",
     "# 16, closure: HQ's first epoch is closed at its head 2, and the next one begins.\n"
     "# The signature is Ed25519, by the recovery key, over \"chapterd clos 1\" and a NUL ||\n"
     "# version (1 byte) || body.",
     make_closure_message, check_message,
     LABELS("message", "type: closure", ">closure", "envelope", "version", ">body", "body",
            "federation", "epoch that begins", "instance", "closed seq", "closed hash",
            "signature"))

FORM("key", "wire",
     "# 18, key: HQ's first key gives way to another after its head (1, 2).  The signature is "
     "by\n"
     "# the first key, the proof by the new one, both Ed25519 over \"chapterd key 1\" and 2 "
     "NULs ||\n"
     "# version (1 byte) || body.",
     make_key, check_message,
     LABELS("message", "type: key", ">succession", "succession", "version", ">body", "body",
            "federation", "code", "new key", "until: epoch", "until: seq", "signature",
            "proof"))

FORM("cleared", "wire",
     "# 17, cleared, of HQ to fr: the files of hq and of lu hold nothing of what was removed "
     "from\n"
     "# fr's feed up to (1, 5) and (1, 3).",
     make_cleared, check_message,
     LABELS("message", "type: cleared", "entries", "entry", "node", "origin", "epoch", "seq",
            "entry", "node", "origin", "epoch", "seq"))

FORM("control-request", "mp",
     "# A program asks its local daemon to put a member: [1, id, command, arguments].",
     make_control_request, check_control,
     LABELS("request", "version", "id", "command", "arguments"))

FORM("control-reply", "mp", "# The answer, once the change is durable: [1, id, 0, result].",
     make_control_reply, check_control, LABELS("reply", "version", "id", "code: OK", "result"))

FORM("control-error", "mp", "# An answer that says no: [1, id, code, {error, remedy}].",
     make_control_error, check_control,
     LABELS("reply", "version", "id", "code: NOT_FOUND", "result"))
