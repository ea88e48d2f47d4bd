/* book - an array of charges, and the captured ones by idempotency key. */
#include "ops/sandbox/book.h"

#include <stdlib.h>
#include <string.h>

static size_t table_hash(Str key)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < key.length; i++) {
        hash = (hash ^ (unsigned char)key.data[i]) * UINT64_C(0x100000001b3);
    }
    return (size_t)(hash ^ (hash >> 29));
}

static Charge **table_slot(const Table *table, Str key)
{
    size_t at = table_hash(key) & (table->capacity - 1);
    while (table->slots[at] != NULL && !str_equal(table->slots[at]->key, key)) {
        at = (at + 1) & (table->capacity - 1);
    }
    return &table->slots[at];
}

static void table_grow(Table *table)
{
    Table larger = {.capacity = table->capacity == 0 ? 1024 : table->capacity * 2, .count = table->count};
    larger.slots = calloc(larger.capacity, sizeof(Charge *));
    TAI_ASSERT(larger.slots != NULL);
    for (size_t i = 0; i < table->capacity; i++) {
        if (table->slots[i] != NULL) {
            *table_slot(&larger, table->slots[i]->key) = table->slots[i];
        }
    }
    free(table->slots);
    *table = larger;
}

Charge *table_find(const Table *table, Str key)
{
    return table->capacity == 0 ? NULL : *table_slot(table, key);
}

void table_put(Table *table, Charge *charge)
{
    if (table->count * 2 >= table->capacity) {
        table_grow(table);
    }
    Charge **slot = table_slot(table, charge->key);
    table->count += *slot == NULL;
    *slot = charge;
}

void table_clear(Table *table)
{
    free(table->slots);
    *table = (Table){0};
}

static Str book_copy(char **end, Str text)
{
    Str copy = {*end, text.length};
    if (text.length > 0) {
        memcpy(*end, text.data, text.length);
    }
    *end += text.length;
    return copy;
}

static void book_append(Book *book, Charge *charge)
{
    if (book->count == book->capacity) {
        book->capacity = book->capacity == 0 ? 1024 : book->capacity * 2;
        book->charges = realloc(book->charges, book->capacity * sizeof *book->charges);
        TAI_ASSERT(book->charges != NULL);
    }
    book->charges[book->count] = charge;
    book->count++;
}

static void book_count(Book *book, Charge *charge)
{
    book->captured_count++;
    if (charge->key.length == 0) {
        book->captured_without_key++;
        return;
    }
    charge->previous = table_find(&book->captured, charge->key);
    charge->captured_of_key = 1 + (charge->previous != NULL ? charge->previous->captured_of_key : 0);
    if (charge->captured_of_key > book->max_captured_per_key) {
        book->max_captured_per_key = charge->captured_of_key;
    }
    table_put(&book->captured, charge);
}

Charge *book_add(Book *book, const Order *order, ChargeState state, Str key, int64_t created_s)
{
    size_t bytes = sizeof(Charge) + key.length + order->payment_method.length + order->customer.length +
                   order->description.length + order->transaction_id.length + order->metadata.length;
    if (book->count == BOOK_CHARGES_MAX || book->bytes + (int64_t)bytes > BOOK_BYTES_MAX) {
        return NULL;
    }
    Charge *charge = calloc(1, bytes);
    TAI_ASSERT(charge != NULL);
    char *end = (char *)(charge + 1);
    book->last_number++;
    charge->number = book->last_number;
    charge->kind = order->kind;
    charge->state = state;
    charge->amount = order->amount;
    memcpy(charge->currency, order->currency, sizeof charge->currency);
    charge->created_s = created_s;
    charge->key = book_copy(&end, key);
    charge->payment_method = book_copy(&end, order->payment_method);
    charge->customer = book_copy(&end, order->customer);
    charge->description = book_copy(&end, order->description);
    charge->transaction_id = book_copy(&end, order->transaction_id);
    charge->metadata = book_copy(&end, order->metadata);
    book->bytes += (int64_t)bytes;
    book_append(book, charge);
    if (state == CHARGE_CAPTURED) {
        book_count(book, charge);
    }
    return charge;
}

Charge *book_find(const Book *book, uint64_t number)
{
    size_t from = 0;
    size_t to = book->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (book->charges[middle]->number == number) {
            return book->charges[middle];
        }
        if (book->charges[middle]->number < number) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return NULL;
}

void book_clear(Book *book)
{
    uint64_t last_number = book->last_number;
    for (size_t i = 0; i < book->count; i++) {
        free(book->charges[i]);
    }
    free(book->charges);
    table_clear(&book->captured);
    *book = (Book){.last_number = last_number};
}
