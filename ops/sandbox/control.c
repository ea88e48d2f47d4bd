/* control - counters and switches of the sandbox itself. */
#include "ops/sandbox/control.h"

#include <string.h>

#include "ops/sandbox/object.h"

#define LISTED_MAX 100 /* charges of one key that are listed */

static Answer control_refuse(Sandbox *sandbox, int status, const char *why)
{
    JsonWriter json = json_writer(&sandbox->text);
    json_open(&json, NULL, '{');
    json_put_string(&json, "error", str_from(why));
    json_close(&json, '}');
    return (Answer){.status = status, .body = buffer_str(&sandbox->text)};
}

static Answer control_refuse_method(Sandbox *sandbox, const char *allow)
{
    Answer answer = control_refuse(sandbox, 405, "this page does not know the method");
    answer.allow = allow;
    return answer;
}

static Answer control_show_behavior(Sandbox *sandbox)
{
    JsonWriter json = json_writer(&sandbox->text);
    behavior_write(&sandbox->behavior, &json);
    return (Answer){.status = 200, .body = buffer_str(&sandbox->text)};
}

/* All of it, or nothing. */
static Err control_set_form(Sandbox *sandbox, const Request *request)
{
    Behavior changed = sandbox->behavior;
    if (!form_read(&sandbox->form, request->body, request->body_length)) {
        return err_reject("the body is not a form");
    }
    for (size_t i = 0; i < sandbox->form.count; i++) {
        Err err = behavior_set(&changed, sandbox->form.fields[i].name, sandbox->form.fields[i].value);
        if (err_is(err)) {
            return err;
        }
    }
    sandbox->behavior = changed;
    return err_none();
}

static Answer control_set_behavior(Sandbox *sandbox, const Request *request)
{
    bool is_json = str_starts_with(str_trim((Str){request->body, request->body_length}), STR("{"));
    Err err = is_json ? behavior_set_json(&sandbox->behavior, (Str){request->body, request->body_length})
                      : control_set_form(sandbox, request);
    return err_is(err) ? control_refuse(sandbox, 400, err.why) : control_show_behavior(sandbox);
}

static Answer control_show_counters(Sandbox *sandbox)
{
    JsonWriter json = json_writer(&sandbox->text);
    json_open(&json, NULL, '{');
    json_put_int(&json, "captured", sandbox->book.captured_count);
    json_put_int(&json, "keys", (int64_t)sandbox->book.captured.count);
    json_put_int(&json, "max_captured_per_key", sandbox->book.max_captured_per_key);
    json_put_int(&json, "captured_without_key", sandbox->book.captured_without_key);
    json_put_int(&json, "requests", sandbox->requests);
    json_put_int(&json, "replayed", sandbox->replayed);
    json_put_int(&json, "dropped", sandbox->dropped);
    json_open(&json, "by_status", '{');
    for (int status = 100; status < SANDBOX_STATUS_MAX; status++) {
        char name[8];
        Buffer out = buffer_over(name, sizeof name);
        buffer_print(&out, "%d", status);
        if (sandbox->by_status[status] > 0) {
            json_put_int(&json, name, sandbox->by_status[status]);
        }
    }
    json_close(&json, '}');
    json_close(&json, '}');
    return (Answer){.status = 200, .body = buffer_str(&sandbox->text)};
}

static void control_write_charge(JsonWriter *json, const Charge *charge)
{
    char id[32];
    object_print_id(id, "ch_", charge->number);
    json_open(json, NULL, '{');
    json_put_string(json, "id", str_from(id));
    json_put_int(json, "amount", charge->amount);
    json_put_string(json, "currency", str_from(charge->currency));
    json_put_int(json, "created", charge->created_s);
    json_put_string(json, "transaction_id", charge->transaction_id);
    json_close(json, '}');
}

static Answer control_show_key(Sandbox *sandbox, Str key)
{
    const Charge *youngest = table_find(&sandbox->book.captured, key);
    int64_t amount = 0;
    for (const Charge *charge = youngest; charge != NULL; charge = charge->previous) {
        amount += charge->amount;
    }
    JsonWriter json = json_writer(&sandbox->text);
    json_open(&json, NULL, '{');
    json_put_string(&json, "key", key);
    json_put_int(&json, "captured", youngest != NULL ? youngest->captured_of_key : 0);
    json_put_int(&json, "amount", amount);
    json_open(&json, "charges", '[');
    int listed = 0;
    for (const Charge *charge = youngest; charge != NULL && listed < LISTED_MAX; charge = charge->previous) {
        control_write_charge(&json, charge);
        listed++;
    }
    json_close(&json, ']');
    json_close(&json, '}');
    return (Answer){.status = 200, .body = buffer_str(&sandbox->text)};
}

static Answer control_reset(Sandbox *sandbox)
{
    Err err = journal_empty(&sandbox->journal);
    if (err_is(err)) {
        return control_refuse(sandbox, 500, err.why);
    }
    table_clear(&sandbox->results);
    book_clear(&sandbox->book);
    sandbox->requests = 0;
    sandbox->replayed = 0;
    sandbox->dropped = 0;
    memset(sandbox->by_status, 0, sizeof sandbox->by_status);
    return control_show_counters(sandbox);
}

static void control_write_quoted(Buffer *out, Str text)
{
    buffer_append_char(out, '"');
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] == '"') {
            buffer_append_char(out, '"');
        }
        buffer_append_char(out, text.data[i]);
    }
    buffer_append_char(out, '"');
}

static void control_write_line(const Charge *charge, Buffer *out)
{
    int64_t amount = 0;
    for (const Charge *one = charge; one != NULL; one = one->previous) {
        amount += one->amount;
    }
    control_write_quoted(out, charge->key);
    buffer_print(out, ",%lld,%lld,%s,", (long long)(charge->key.length > 0 ? charge->captured_of_key : 1),
                 (long long)amount, charge->currency);
    control_write_quoted(out, charge->transaction_id);
    buffer_append_char(out, '\n');
}

/* The youngest captured charge stands for its key, so that each key has one line; those without a key have their own.
 */
bool control_write_csv(const Sandbox *sandbox, uint64_t *line, Buffer *out)
{
    if (*line == 0) {
        buffer_append(out, STR("key,count,amount,currency,transaction_id\n"));
        *line = 1;
    }
    for (; *line <= sandbox->book.count; (*line)++) {
        const Charge *charge = sandbox->book.charges[*line - 1];
        size_t length = out->length;
        bool stands_for_key = charge->key.length == 0 || table_find(&sandbox->book.captured, charge->key) == charge;
        if (charge->state != CHARGE_CAPTURED || !stands_for_key) {
            continue;
        }
        control_write_line(charge, out);
        if (out->overflow) {
            out->length = length; /* the line comes first in the next part */
            out->overflow = false;
            return true;
        }
    }
    return out->length > 0;
}

Answer control_answer(Sandbox *sandbox, const Request *request)
{
    bool get = str_equal(request->method, STR("GET"));
    if (str_equal(request->path, STR("/sandbox/behavior"))) {
        if (get) {
            return control_show_behavior(sandbox);
        }
        return str_equal(request->method, STR("POST")) ? control_set_behavior(sandbox, request)
                                                       : control_refuse_method(sandbox, "GET, POST");
    }
    if (str_equal(request->path, STR("/sandbox/charges"))) {
        if (get) {
            return request->query_key.data != NULL ? control_show_key(sandbox, request->query_key)
                                                   : control_show_counters(sandbox);
        }
        return str_equal(request->method, STR("DELETE")) ? control_reset(sandbox)
                                                         : control_refuse_method(sandbox, "GET, DELETE");
    }
    if (str_equal(request->path, STR("/sandbox/charges.csv"))) {
        return get ? (Answer){.status = 200, .stream_csv = true} : control_refuse_method(sandbox, "GET");
    }
    if (str_equal(request->path, STR("/healthz"))) {
        return (Answer){.status = 200, .body = STR("{\"status\":\"ok\"}")};
    }
    return control_refuse(sandbox, 404, "there is no such page");
}
