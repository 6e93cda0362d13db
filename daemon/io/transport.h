/* SPDX-License-Identifier: MPL-2.0 */
/* transport.h - messages in and out: ROUTER and XPUB that others dial, DEALER and SUB that dial
 * them, and the control socket.  The seam of the simulator: tests/sim has its own
 * implementation.
 *
 * CURVE everywhere on TCP, with an own ZAP handler (REP on inproc://zeromq.zap.01, RFC 27) that
 * fails closed: ZMQ_ZAP_ENFORCE_DOMAIN is set and read back before anything is bound.  A peer
 * is the key that its handshake proved, read from the message's User-Id, never a routing id.
 * One thread; nothing here is thread-safe. */
#ifndef CHAPTERD_TRANSPORT_H
#define CHAPTERD_TRANSPORT_H

#include "chapterd/limits.h"
#include "proto/mp.h"

struct transport;

enum transport_port { PORT_ROUTER, PORT_XPUB };
/* Asked once a handshake: may key connect to that port? */
typedef bool transport_admit(void *context, enum transport_port port,
                             const uint8_t key[KEY_SIZE]);

struct transport_config {
    const char *listen_host;  /* NULL: dial-only.  "127.0.0.1", "*", "::" */
    uint16_t listen_port;     /* ROUTER here, XPUB at + 1 */
    const char *control_path; /* of the ipc socket, made mode 0660; NULL: none */
    uint8_t curve_public[KEY_SIZE];
    uint8_t curve_secret[KEY_SIZE];
    transport_admit *admit;
    void *context;
};

/* ADDRESS_IN_USE, DENIED, TOO_LARGE (path of the control socket), UNSUPPORTED (no CURVE, or the
 * ZAP domain is not enforced). */
enum status transport_open(const struct transport_config *config,
                           struct transport **out) MUST_CHECK;
void transport_close(struct transport **transport); /* drops what is unsent after 200 ms */

/* A link is a handle: one DEALER that I dialled, one peer connected to my ROUTER, or one client
 * of the control socket.  Never reused within a process; sending to one that is gone is
 * dropped. */
typedef uint64_t transport_link;

enum transport_kind {
    TRANSPORT_PEER,      /* from a DEALER or ROUTER link; key is proven */
    TRANSPORT_PUBLISHED, /* from a SUB; key is the dialled publisher's */
    TRANSPORT_CONTROL,   /* from a client of the control socket */
    TRANSPORT_UP,        /* a dialled link's handshake is done: greet it */
    TRANSPORT_DOWN,      /* a dialled link was lost (it redials by itself) */
    TRANSPORT_DENIED,    /* a dialled link's handshake was refused by the other side */
    TRANSPORT_FLOOD      /* key subscribed without measure: its connections were ended */
};
struct transport_message {
    enum transport_kind kind;
    transport_link link; /* of TRANSPORT_PUBLISHED: the dialled link that belongs to it */
    bool dialled;        /* I dialled this link */
    uint8_t key[KEY_SIZE];
    int64_t uid;       /* of a control client, -1 if the system does not tell */
    const char *from;  /* IP of a peer that dialled me, NULL if unknown; as long as data */
    struct slice data; /* valid until the next transport_receive */
};

/* Waits until something can be received: OK, or TIMEOUT after timeout_ms; AGAIN if a signal
 * came. */
enum status transport_wait(struct transport *transport, int64_t timeout_ms) MUST_CHECK;
/* The next message, or AGAIN.  Fair between sockets; answers ZAP on the way. */
enum status transport_receive(struct transport *transport,
                              struct transport_message *out) MUST_CHECK;
/* Drops silently when the link is gone; AGAIN if its queue is full (nothing was sent). */
enum status transport_send(struct transport *transport, transport_link link, struct slice data);
/* To all subscribers; topic is the origin's code, "" for the node's own matters. */
enum status transport_publish(struct transport *transport, const char *topic,
                              struct slice data);
/* Dials a peer's ROUTER and XPUB; redials by itself with growing pauses.  INVALID address. */
enum status transport_dial(struct transport *transport, const uint8_t key[KEY_SIZE],
                           const char *host, uint16_t port,
                           transport_link *out_link) MUST_CHECK;
/* Ends the connection; a dialled one is not dialled again. */
void transport_hang_up(struct transport *transport, transport_link link);
/* A link that the peer dialled: has its connection ended, or does its handle lead nowhere? */
bool transport_is_gone(struct transport *transport, transport_link link);
/* Ends all connections with that key, which can have no new ones for pause_ms. */
void transport_cut(struct transport *transport, const uint8_t key[KEY_SIZE], int64_t pause_ms);
/* Ends connections of keys that are not admitted any more: unbinds and binds again. */
enum status transport_cut_all(struct transport *transport) MUST_CHECK;

/* Of libzmq, as it runs. */
#define TRANSPORT_VERSION_SIZE 32
void transport_version(char out_version[TRANSPORT_VERSION_SIZE]);

struct transport_counters {
    uint64_t sent_bytes, received_bytes, sent_messages, received_messages;
    uint64_t dropped_messages;   /* queue full or link gone */
    uint64_t refused_handshakes; /* by me */
    uint64_t cut_connections;    /* of keys with too many, or that misbehave */
};
void transport_counters(const struct transport *transport, struct transport_counters *out);

#endif
