/* journal - one line for each captured charge, appended with one write. */
#include "ops/sandbox/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "shared/base/json.h"

static Str journal_text(const json_t *line, const char *name)
{
    const json_t *value = json_object_get(line, name);
    return json_is_string(value) ? (Str){json_string_value(value), json_string_length(value)} : (Str){0};
}

static bool journal_read_order(const json_t *line, Order *order)
{
    *order = (Order){
        .kind = str_equal(journal_text(line, "object"), STR("charge")) ? ORDER_CHARGE : ORDER_PAYMENT_INTENT,
        .amount = json_integer_value(json_object_get(line, "amount")),
        .payment_method = journal_text(line, "payment_method"),
        .customer = journal_text(line, "customer"),
        .description = journal_text(line, "description"),
        .transaction_id = journal_text(line, "transaction_id"),
        .metadata = journal_text(line, "metadata"),
        .confirm = true,
    };
    return order->amount > 0 && str_copy_to(journal_text(line, "currency"), order->currency, sizeof order->currency);
}

static Err journal_read_line(Str text, int number, Book *book, Table *results)
{
    json_error_t where;
    json_t *line = json_loadb(text.data, text.length, JSON_ALLOW_NUL, &where);
    Order order;
    char digest[24];
    Charge *charge = NULL;
    if (journal_read_order(line, &order) && str_copy_to(journal_text(line, "digest"), digest, sizeof digest)) {
        book->last_number = (uint64_t)json_integer_value(json_object_get(line, "number")) - 1;
        charge = book_add(book, &order, CHARGE_CAPTURED, journal_text(line, "key"),
                          json_integer_value(json_object_get(line, "created")));
    }
    if (charge != NULL) {
        charge->digest = strtoull(digest, NULL, 16);
        if (charge->key.length > 0) {
            table_put(results, charge);
        }
    }
    json_decref(line);
    return charge != NULL ? err_none() : err_reject("line %d of the journal is not a charge", number);
}

static Err journal_read(Journal *journal, const char *path, Book *book, Table *results)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return err_retry("the journal cannot be read: %s", strerror(errno));
    }
    Err err = err_none();
    char *text = NULL;
    size_t capacity = 0;
    off_t end = 0;
    int number = 0;
    for (ssize_t length = getline(&text, &capacity, file); length > 0 && !err_is(err);
         length = getline(&text, &capacity, file)) {
        if (text[length - 1] != '\n') {
            break; /* the sandbox died while it wrote this; nobody got an answer for it */
        }
        number++;
        end += length;
        err = journal_read_line((Str){text, (size_t)length - 1}, number, book, results);
    }
    free(text);
    (void)fclose(file);
    if (!err_is(err) && ftruncate(journal->file, end) != 0) {
        err = err_retry("the journal cannot be written: %s", strerror(errno));
    }
    return err;
}

Err journal_open(Journal *journal, const char *path, Book *book, Table *results)
{
    journal->file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (journal->file < 0) {
        return err_retry("the journal cannot be opened: %s", strerror(errno));
    }
    return journal_read(journal, path, book, results);
}

Err journal_append(Journal *journal, const Charge *charge, Buffer *scratch)
{
    if (journal->file < 0) {
        return err_none();
    }
    char digest[24];
    Buffer hex = buffer_over(digest, sizeof digest);
    buffer_print(&hex, "%016llx", (unsigned long long)charge->digest);
    buffer_reset(scratch);
    JsonWriter json = json_writer(scratch);
    json_open(&json, NULL, '{');
    json_put_int(&json, "number", (int64_t)charge->number);
    json_put_string(&json, "object", charge->kind == ORDER_CHARGE ? STR("charge") : STR("payment_intent"));
    json_put_string(&json, "key", charge->key);
    json_put_string(&json, "digest", buffer_str(&hex));
    json_put_int(&json, "amount", charge->amount);
    json_put_string(&json, "currency", str_from(charge->currency));
    json_put_int(&json, "created", charge->created_s);
    json_put_string(&json, "payment_method", charge->payment_method);
    json_put_string(&json, "customer", charge->customer);
    json_put_string(&json, "description", charge->description);
    json_put_string(&json, "transaction_id", charge->transaction_id);
    json_put_string(&json, "metadata", charge->metadata); /* JSON within a string: kept as it is */
    json_close(&json, '}');
    buffer_append_char(scratch, '\n');
    if (scratch->overflow || write(journal->file, scratch->data, scratch->length) != (ssize_t)scratch->length) {
        return err_unknown("the journal was not written: %s", strerror(errno));
    }
    return err_none();
}

Err journal_empty(Journal *journal)
{
    if (journal->file >= 0 && ftruncate(journal->file, 0) != 0) {
        return err_retry("the journal was not emptied: %s", strerror(errno));
    }
    return err_none();
}

void journal_close(Journal *journal)
{
    if (journal->file >= 0) {
        close(journal->file);
    }
    journal->file = -1;
}
