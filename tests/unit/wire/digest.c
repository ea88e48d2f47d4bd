/* Ids that must be the same for ever: computed once by other programs, written down here. */
#include "shared/wire/digest.h"

#include "tests/unit/wire/samples.h"

Test(digest, a_ulid_id_holds_its_time)
{
    static const uint8_t entropy[10] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    char id[TRANSACTION_ID_MAX];
    transaction_id_print_ulid(UINT64_C(1700000000123), entropy, id);
    cr_assert_str_eq(id, "txn_01HF7YAT3V000G40R40M30E209");
    uint64_t time_ms = 0;
    cr_assert(id_ulid_time(str_from(id + 4), &time_ms));
    cr_assert_eq(time_ms, UINT64_C(1700000000123));
}

Test(digest, a_keyed_id_is_the_same_for_ever)
{
    char id[TRANSACTION_ID_MAX];
    transaction_id_print_keyed(STR("shop1"), STR("order-17"), id);
    cr_assert_str_eq(id, "txn_KQN1HK8DYP37HTBXQKJA6Q7MTVSJ8MKC");
    transaction_id_print_keyed(STR("anonymous"), STR(""), id);
    cr_assert_str_eq(id, "txn_KKTQGBZVG46Y3WK0N7SYQZYHSC49KR4G");
    cr_assert(id_is_valid(str_from(id)));
}

Test(digest, publisher_and_key_do_not_run_into_each_other)
{
    char a[TRANSACTION_ID_MAX];
    char b[TRANSACTION_ID_MAX];
    transaction_id_print_keyed(STR("ab"), STR("c"), a);
    transaction_id_print_keyed(STR("a"), STR("bc"), b);
    cr_assert_str_neq(a, b);
}

Test(digest, an_id_by_sequence_is_the_same_for_ever_and_holds_the_streams_time)
{
    char id[TRANSACTION_ID_MAX];
    transaction_id_print_sequence(STR("PAYMENT"), 4711, INT64_C(1700000000123), id);
    cr_assert_str_eq(id, "txn_01HF7YAT3V127YX2MKMW6E9DXX");
    uint64_t time_ms = 0;
    cr_assert(id_ulid_time(str_from(id + 4), &time_ms));
    cr_assert_eq(time_ms, UINT64_C(1700000000123));
    char next[TRANSACTION_ID_MAX];
    transaction_id_print_sequence(STR("PAYMENT"), 4712, INT64_C(1700000000123), next);
    cr_assert_str_neq(id, next);
}

Test(digest, an_hmac_is_as_in_rfc_4231)
{
    char hex[65];
    digest_hmac_hex(STR("Jefe"), STR("what do ya want for nothing?"), hex);
    cr_assert_str_eq(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    digest_hmac_hex(STR(""), STR(""), hex);
    cr_assert_str_eq(hex, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}
