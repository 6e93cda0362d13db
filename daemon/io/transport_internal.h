/* SPDX-License-Identifier: MPL-2.0 */
/* transport_internal.h - what the files of the transport share, and nobody else includes.
 *
 * transport.c: open, receive, send.  transport_poll.c: what is waited for.
 * transport_bind.c: the sockets that others dial, and ZAP.  transport_dial.c: those that dial.
 * transport_peers.c: routing ids as links.  transport_guard.c: whose connections are ended;
 * transport_shed.c: strangers' connections.
 * transport_socket.c: what all sockets share. */
#ifndef CHAPTERD_TRANSPORT_INTERNAL_H
#define CHAPTERD_TRANSPORT_INTERNAL_H

#include "daemon/io/transport.h"

#include <sys/socket.h>
#include <zmq.h>

/* A handle's low bits say whose it is; for peers and clients also where it is kept. */
enum link_kind { LINK_DIALLED, LINK_PEER, LINK_CLIENT };
#define LINK_KIND_BITS 2
#define LINK_SLOT_BITS 10
#define LINK_SLOTS (1u << LINK_SLOT_BITS)
_Static_assert(LINKS_MAX <= LINK_SLOTS, "a peer's slot is part of its handle");

/* --- peers: routing ids of one ROUTER socket, each with the key that its handshake proved  */
#define ROUTING_ID_SIZE_MAX 255
#define PEER_BUCKETS 1024

/* A TCP connection that was accepted, as the kernel knows it; port 0: unknown. */
struct connection {
    int fd;
    uint16_t port; /* the peer's */
};

struct peer {
    transport_link link; /* 0: free */
    struct connection connection;
    uint64_t used; /* when, in uses of the table: the longest unused makes room */
    uint16_t next; /* in its bucket, index + 1 */
    uint8_t routing_id_size;
    uint8_t routing_id[ROUTING_ID_SIZE_MAX];
    uint8_t key[KEY_SIZE];
};
struct peers {
    enum link_kind kind;
    uint64_t used;
    size_t high;       /* slots that were ever taken */
    uint16_t free_top; /* of the list of slots given back, index + 1 */
    uint16_t bucket[PEER_BUCKETS];
    struct peer peer[LINKS_MAX];
};
/* The peer of that routing id and key, made (with a handle from *serial) if it is not there.
 * The same id with another key is another peer: the older one is forgotten. */
struct peer *peers_meet(struct peers *peers, struct slice routing_id,
                        const uint8_t key[KEY_SIZE], uint64_t *serial, bool *out_new);
/* Ends the longest unused connection of a key that has more than CONNECTIONS_OF_KEY_MAX. */
void peers_end_surplus(struct transport *transport, const struct peer *newest);
/* Ends all connections of a key. */
void peers_end_key(struct transport *transport, const uint8_t key[KEY_SIZE]);
struct peer *peers_find(struct peers *peers, transport_link link); /* NULL if it is gone */
void peers_forget(struct peers *peers, struct peer *peer);
void peers_forget_all(struct peers *peers);
enum link_kind link_kind_of(transport_link link);

/* --- dialled links -------------------------------------------------------------------- */
/* One socket that dials, and the monitor that tells how it fares. */
struct dial {
    int type; /* ZMQ_DEALER or ZMQ_SUB */
    uint16_t port;
    void *socket;   /* NULL while pausing */
    void *monitor;  /* PAIR */
    bool connected; /* there is a TCP connection */
    bool up;        /* the handshake succeeded */
    bool refused;   /* the last attempt was */
    bool ended;     /* the connection, of which something is still to be received */
    int64_t pause_ms;
    int64_t redial_at_ms;
};
struct dialled {
    transport_link link;
    uint8_t key[KEY_SIZE];
    char host[ADDRESS_SIZE];
    struct dial dealer;
    struct dial sub;
    int64_t grace_at_ms; /* up without the SUB from here on */
    bool up;             /* as judged from both sockets ... */
    bool up_told;        /* ... as transport_receive last said ... */
    bool bounced;        /* ... and it went down since, whatever it is now */
    bool denied;         /* to be told */
};
enum status dialled_open(struct transport *transport, const uint8_t key[KEY_SIZE],
                         const char *host, uint16_t port, transport_link *out_link) MUST_CHECK;
struct dialled *dialled_find(struct transport *transport, transport_link link);
/* linger_ms: how long what is unsent may still go out. */
void dialled_close(struct transport *transport, struct dialled *dialled, int linger_ms);
/* Ends the links to that key, and dials them anew after a pause. */
void dialled_pause(struct transport *transport, const uint8_t key[KEY_SIZE], int64_t pause_ms);
/* Reads the monitor of one of its sockets. */
void dialled_watch(struct transport *transport, struct dialled *dialled, struct dial *dial);
/* Redials what is due; returns when to be called again at the latest, INT64_MAX for never. */
int64_t dialled_timers(struct transport *transport, int64_t now_ms);
/* Fills kind, link and key of a pending UP, DOWN or DENIED. */
bool dialled_tell(struct transport *transport, struct transport_message *out);
bool dialled_has_news(const struct transport *transport);

/* --- sockets that others dial --------------------------------------------------------- */
enum status zap_open(struct transport *transport) MUST_CHECK;
void zap_answer(struct transport *transport); /* some of those that wait */
/* ROUTER and XPUB, or neither. */
enum status listen_open(struct transport *transport) MUST_CHECK;
void listen_close(struct transport *transport, int linger_ms);
enum status control_open(struct transport *transport, const char *path) MUST_CHECK;
void control_close(struct transport *transport);

/* --- whose connections are ended ------------------------------------------------------ */
#define PAUSES_MAX 64

struct subscriber {
    uint64_t since; /* in the order of coming; 0: free */
    struct connection connection;
    uint8_t key[KEY_SIZE];
    unsigned subscriptions;
};
struct pause {
    uint8_t key[KEY_SIZE];
    int64_t until_ms;
};
/* getpeername or getsockname: the port at that end, as in the packet; 0: no TCP connection. */
typedef int connection_end_name(int fd, struct sockaddr *address, socklen_t *size);
uint16_t connection_port(int fd, connection_end_name *name);
struct connection connection_of(zmq_msg_t *frame);
void connection_end(struct transport *transport, const struct connection *connection);
/* What the handshake proved.  On a message's first frame it can be missing. */
bool proven_key(zmq_msg_t *frame, uint8_t out_key[KEY_SIZE]);
/* False while the key has to wait. */
bool guard_admits(struct transport *transport, const uint8_t key[KEY_SIZE]);
/* Takes what XPUB was told by its subscribers: its own business, as long as it has measure. */
void guard_subscriptions(struct transport *transport);
void guard_forget_all(struct transport *transport);
/* Ends connections of strangers where they have too many; returns when to be called again. */
int64_t shed_timer(struct transport *transport, int64_t now_ms);

/* --- the transport -------------------------------------------------------------------- */
#define LINGER_MS 200
#define BIND_RETRY_MS 1000

enum source_kind {
    SOURCE_ROUTER,
    SOURCE_CONTROL,
    SOURCE_DEALER,
    SOURCE_SUB,
    SOURCE_INNER, /* from here on nothing that a caller receives */
    SOURCE_ZAP = SOURCE_INNER,
    SOURCE_XPUB,
    SOURCE_MONITOR
};
struct source {
    enum source_kind kind;
    struct dialled *dialled;
    struct dial *dial;
};

struct transport {
    void *context;
    transport_admit *admit;
    void *admit_context;
    uint8_t curve_public[KEY_SIZE];
    uint8_t curve_secret[KEY_SIZE];
    char *listen_host; /* NULL: dial-only */
    uint16_t listen_port;
    int64_t listen_again_ms; /* to bind again what could not be; 0: all is well */
    void *zap;
    void *router;
    void *xpub;
    void *control;
    char *control_path; /* once it is bound */
    uint64_t serial;    /* of links and of monitors' names */
    struct peers peers;
    struct peers clients;
    struct subscriber subscriber[LINKS_MAX];
    uint64_t subscribers_met;
    struct pause pause[PAUSES_MAX];
    size_t pause_next;
    uint8_t flood_key[KEY_SIZE];
    bool flood;        /* to be told */
    struct shed *shed; /* once there was need */
    int64_t shed_at_ms;
    struct dialled *dialled[LINKS_MAX];
    size_t dialled_count;
    /* what is polled: an item's revents stay until a read finds its socket empty */
    zmq_pollitem_t *item;
    struct source *source;
    size_t source_count;
    size_t source_capacity;
    size_t cursor;    /* the next one to read from */
    bool sources_old; /* sockets came or went */
    zmq_msg_t held;   /* what the last message's data points into */
    struct transport_counters counters;
};

/* --- polling -------------------------------------------------------------------------- */
/* Brings the list of what is polled up to date; forgets what was known to be ready. */
enum status sources_list(struct transport *transport) MUST_CHECK;
/* One round: timers, poll until deadline_ms at most, answers.  AGAIN if a signal came. */
enum status sources_poll(struct transport *transport, int64_t deadline_ms) MUST_CHECK;

/* --- sockets -------------------------------------------------------------------------- */
enum status status_of_zmq(int error);
/* A socket with the given options set, NULL with errno. */
struct socket_option {
    int name;
    int value;
};
void *socket_open(struct transport *transport, int type, const struct socket_option *options,
                  size_t count);
void socket_close(void **socket, int linger_ms);
/* Sets ZMQ_MAXMSGSIZE, an int64_t. */
bool socket_limit(void *socket, int64_t size_max);
/* "tcp://host:port", IPv6 in brackets; host is shorter than ADDRESS_SIZE. */
#define ENDPOINT_SIZE (ADDRESS_SIZE + 16)
void endpoint_format(char out[ENDPOINT_SIZE], const char *host, uint16_t port);

#define CURVE_OVERHEAD 33 /* command name, nonce, MAC and flags around each frame */
/* Options of every TCP socket.  HEARTBEAT_TIMEOUT is what ends links to hosts that vanished,
 * TCP_MAXRT those to peers that read nothing any more. */
/* clang-format off */
#define TCP_OPTIONS              \
    { ZMQ_IPV6, 1 },             \
    { ZMQ_LINGER, LINGER_MS },   \
    { ZMQ_HANDSHAKE_IVL, 5000 }, \
    { ZMQ_HEARTBEAT_IVL, 5000 }, \
    { ZMQ_HEARTBEAT_TIMEOUT, 15000 }, \
    { ZMQ_TCP_MAXRT, 30000 }
/* clang-format on */

#endif
