/* message - our messages to the library's and back. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/bus/private.h"

Err bus_error(natsStatus status, const char *doing)
{
    if (status == NATS_OK) {
        return err_none();
    }
    if (status == NATS_MAX_PAYLOAD) {
        return err_reject("%s: larger than the server's max_payload", doing);
    }
    return err_retry("%s: %s", doing, natsStatus_GetText(status));
}

void bus_text(Str text, char *out, size_t capacity_bytes)
{
    bool fits = str_copy_to(text, out, capacity_bytes);
    TAI_ASSERT(fits);
}

bool bus_header_is_sendable(Str value)
{
    for (size_t i = 0; i < value.length; i++) {
        if ((unsigned char)value.data[i] < 0x20 || value.data[i] == 0x7f) {
            return false;
        }
    }
    return value.length <= BUS_HEADER_VALUE_MAX;
}

void bus_message_add(BusMessage *message, const char *name, Str value)
{
    if (value.length == 0) {
        return;
    }
    TAI_ASSERT(message->header_count < BUS_HEADERS_MAX);
    TAI_ASSERT(bus_header_is_sendable(value));
    message->headers[message->header_count++] = (BusHeader){name, value};
}

void bus_message_expect_new(BusMessage *message)
{
    bus_message_add(message, BUS_HEADER_EXPECT_LAST, STR("0"));
}

void bus_message_pass_on(BusMessage *message, const BusDelivery *from, const char *name)
{
    Str value = bus_delivery_header(from, name);
    if (bus_header_is_sendable(value)) {
        bus_message_add(message, name, value);
    }
}

static natsStatus message_add_headers(natsMsg *out, const BusMessage *message)
{
    natsStatus status = NATS_OK;
    for (size_t i = 0; i < message->header_count && status == NATS_OK; i++) {
        char value[BUS_HEADER_VALUE_MAX + 1];
        bus_text(message->headers[i].value, value, sizeof(value));
        status = natsMsgHeader_Set(out, message->headers[i].name, value);
    }
    return status;
}

Err bus_send(Bus *bus, const BusMessage *message, const char *reply)
{
    char subject[BUS_SUBJECT_MAX];
    bus_text(message->subject, subject, sizeof(subject));
    natsMsg *out = NULL;
    natsStatus status = natsMsg_Create(&out, subject, reply, message->body.data, (int)message->body.length);
    if (status == NATS_OK) {
        status = message_add_headers(out, message);
    }
    if (status == NATS_OK) {
        status = natsConnection_PublishMsg(bus->connection, out);
    }
    natsMsg_Destroy(out);
    return bus_error(status, "publish");
}

/* $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time ns>.<pending>, or as servers after 2.10 may
 * write it with <domain>.<account> after ACK and a token more at the end (2.10 does not, not even with a domain). */
static void delivery_read_facts(BusDelivery *delivery)
{
    if (!str_starts_with(delivery->reply, STR("$JS.ACK."))) {
        return;
    }
    Str tokens[13];
    size_t count = 0;
    Str rest = delivery->reply;
    Str token;
    while (count < 13 && str_next_token(&rest, '.', &token)) {
        tokens[count++] = token;
    }
    size_t first = count >= 11 ? 6 : 4; /* of the tokens after the consumer's name */
    if (count < first + 5) {
        return;
    }
    int64_t time_ns = 0;
    if (str_to_uint64(tokens[first], &delivery->delivered) && str_to_uint64(tokens[first + 1], &delivery->sequence) &&
        str_to_uint64(tokens[first + 2], &delivery->consumer_sequence) && str_to_int64(tokens[first + 3], &time_ns) &&
        str_to_uint64(tokens[first + 4], &delivery->pending)) {
        delivery->time_ms = time_ns / 1000000;
    }
}

BusDelivery bus_delivery_from(natsMsg *message)
{
    BusDelivery delivery = {
        .subject = str_from(natsMsg_GetSubject(message)),
        .reply = str_from(natsMsg_GetReply(message)),
        .body = {natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message)},
        .handle = message,
    };
    delivery_read_facts(&delivery);
    return delivery;
}

/* RFC 3339 in UTC with up to nine digits of fraction, as nats-server writes it; 0 where it is not. */
static int64_t time_parse_ms(Str text)
{
    char copy[40];
    if (!str_copy_to(text, copy, sizeof(copy))) {
        return 0;
    }
    struct tm parts = {0};
    const char *rest = strptime(copy, "%Y-%m-%dT%H:%M:%S", &parts);
    if (rest == NULL) {
        return 0;
    }
    int64_t ms = (int64_t)timegm(&parts) * 1000;
    if (*rest == '.') {
        int64_t unit = 100;
        for (rest++; *rest >= '0' && *rest <= '9'; rest++) {
            ms += (*rest - '0') * unit;
            unit /= 10;
        }
    }
    return ms;
}

BusDelivery bus_delivery_from_direct(natsMsg *message)
{
    BusDelivery delivery = bus_delivery_from(message);
    delivery.subject = bus_delivery_header(&delivery, "Nats-Subject");
    if (!str_to_uint64(bus_delivery_header(&delivery, "Nats-Sequence"), &delivery.sequence)) {
        delivery.sequence = 0;
    }
    delivery.time_ms = time_parse_ms(bus_delivery_header(&delivery, "Nats-Time-Stamp"));
    return delivery;
}

Str bus_delivery_header(const BusDelivery *delivery, const char *name)
{
    const char *value = NULL;
    if (delivery->handle == NULL || natsMsgHeader_Get(delivery->handle, name, &value) != NATS_OK) {
        return (Str){0};
    }
    return str_from(value);
}

/* Anybody may publish an empty message with a Status header to a stream. */
static bool message_is_from_stream(const BusDelivery *delivery)
{
    return delivery->sequence != 0 || bus_delivery_header(delivery, "Nats-Sequence").length != 0;
}

int bus_delivery_status(const BusDelivery *delivery)
{
    if (delivery->body.length != 0 || message_is_from_stream(delivery)) {
        return 0;
    }
    Str text = bus_delivery_header(delivery, "Status");
    int64_t status = 0;
    return str_to_int64(str_slice(text, 0, 3), &status) ? (int)status : 0;
}

void bus_delivery_release(BusDelivery *delivery)
{
    natsMsg_Destroy(delivery->handle);
    *delivery = (BusDelivery){0};
}
