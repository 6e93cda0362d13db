/* SPDX-License-Identifier: MPL-2.0 */
/* fake_transport.h - what a fixture's transport does not do: no peers, no publishing, no
 * waiting.  The fixture defines struct transport and fake before, and transport_receive and
 * transport_send after it. */
#ifndef CHAPTERD_FAKE_TRANSPORT_H
#define CHAPTERD_FAKE_TRANSPORT_H

enum status transport_open(const struct transport_config *config, struct transport **out)
{
    (void)config;
    *out = &fake;
    return OK;
}

void transport_close(struct transport **transport)
{
    *transport = NULL;
}

enum status transport_wait(struct transport *transport, int64_t timeout_ms)
{
    (void)transport;
    (void)timeout_ms;
    return TIMEOUT;
}

enum status transport_publish(struct transport *transport, const char *topic, struct slice data)
{
    (void)transport;
    (void)topic;
    (void)data;
    return OK;
}

enum status transport_dial(struct transport *transport, const uint8_t key[KEY_SIZE],
                           const char *host, uint16_t port, transport_link *out_link)
{
    static transport_link links = 1000;

    (void)transport;
    (void)key;
    (void)host;
    (void)port;
    *out_link = ++links;
    return OK;
}

void transport_hang_up(struct transport *transport, transport_link link)
{
    (void)transport;
    (void)link;
}

bool transport_is_gone(struct transport *transport, transport_link link)
{
    (void)transport;
    (void)link;
    return false;
}

void transport_cut(struct transport *transport, const uint8_t key[KEY_SIZE], int64_t pause_ms)
{
    (void)transport;
    (void)key;
    (void)pause_ms;
}

enum status transport_cut_all(struct transport *transport)
{
    (void)transport;
    return OK;
}

void transport_version(char out_version[TRANSPORT_VERSION_SIZE])
{
    (void)snprintf(out_version, TRANSPORT_VERSION_SIZE, "none");
}

void transport_counters(const struct transport *transport, struct transport_counters *out)
{
    (void)transport;
    memset(out, 0, sizeof *out);
}

#endif
