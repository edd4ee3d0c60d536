// SPDX-License-Identifier: MIT
// Links: kernel/kd/gdbpacket.c kernel/kd/gdbserver.c kernel/kd/gdbquery.c kernel/kd/gdbmemory.c
// Links: kernel/kd/gdbwatch.c kernel/kd/gdbregisters.c kernel/rtl/format.c kernel/rtl/utf.c
//
// The gdb server, packet by packet: what gdb sends, what it gets back.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "gdb_fake.h"

static const GDB_STOP Trap = {.Signal = GdbSignalTrap, .Thread = 1};
static UCHAR Sent[1u << 16];
static size_t SentLength;

static void SendRaw(const void *Bytes, size_t Length)
{
    memcpy(Sent + SentLength, Bytes, Length);
    SentLength += Length;
}

// Adds a packet as gdb would send it, and the acknowledgement of the answer.
static void SendPacket(const void *Text, size_t Length)
{
    char End[5];
    UCHAR Sum = 0;
    for (size_t i = 0; i < Length; i++)
        Sum += ((const UCHAR *)Text)[i];
    SendRaw("$", 1);
    SendRaw(Text, Length);
    RtlFormat(End, sizeof(End), "#%02x+", Sum);
    SendRaw(End, 4);
}

static GDB_RESUME Serve(GDB_STOP Stop)
{
    size_t Length = SentLength;
    SentLength = 0;
    FakeOutputLength = 0;
    GDB_RESUME Resume = FakeServe(Sent, Length, Stop);
    FakeOutput[FakeOutputLength] = 0;
    return Resume;
}

// Undoes run-length coding and escapes of the answer that begins at *At, and moves *At behind it.
static const char *NextAnswer(size_t *At)
{
    static char Text[4 * GDB_PACKET_SIZE];
    size_t Length = 0;
    while (*At < FakeOutputLength && FakeOutput[*At] != '$')
        ++*At;
    assert_true(*At < FakeOutputLength);
    for (++*At; FakeOutput[*At] != '#'; ++*At) {
        UCHAR Byte = FakeOutput[*At];
        if (Byte == '}')
            Byte = FakeOutput[++*At] ^ 0x20;
        else if (Byte == '*') {
            for (int n = FakeOutput[++*At] - 29; n > 0; n--, Length++)
                Text[Length] = Text[Length - 1];
            continue;
        }
        Text[Length++] = (char)Byte;
    }
    Text[Length] = 0;
    return Text;
}

static const char *Ask(const char *Packet)
{
    size_t At = 0;
    SendPacket(Packet, strlen(Packet));
    Serve(Trap);
    return NextAnswer(&At);
}

static int Fresh(void **State)
{
    (void)State;
    FakeReset();
    SentLength = 0;
    return 0;
}

static void a_damaged_packet_costs_a_retransmission(void **State)
{
    size_t At = 0;
    (void)State;
    SendRaw("\xFF\x00noise$m0,1#00$?#3e", 21);
    SendRaw("$?#3f+", 6);
    Serve(Trap);
    assert_memory_equal(FakeOutput, "--+$T05", 7);
    assert_non_null(strstr(NextAnswer(&At), "thread:1;"));
}

static void a_lost_end_does_not_swallow_the_next_packet(void **State)
{
    (void)State;
    SendRaw("$m0,4", 5);
    SendRaw("$qAttached#8f+", 14);
    Serve(Trap);
    assert_memory_equal(FakeOutput, "+$1#31", 6);
}

static void an_answer_is_repeated_until_it_arrives(void **State)
{
    (void)State;
    SendRaw("$qAttached#8f--+", 16);
    Serve(Trap);
    assert_string_equal((char *)FakeOutput, "+$1#31$1#31$1#31");
}

static void a_packet_that_is_too_long_is_refused(void **State)
{
    static char Long[GDB_PACKET_SIZE + 2];
    (void)State;
    memset(Long, 'q', sizeof(Long) - 1);
    SendPacket(Long, sizeof(Long) - 1);
    Serve(Trap);
    assert_string_equal((char *)FakeOutput, "-");
}

static void acknowledgements_can_be_switched_off_and_come_back_with_the_next_gdb(void **State)
{
    (void)State;
    SendRaw("$QStartNoAckMode#b0+$qAttached#8f", 33);
    Serve(Trap);
    assert_string_equal((char *)FakeOutput, "+$OK#9a$1#31");
    SendPacket("qSupported", 10);
    SendPacket("qAttached", 9);
    Serve(Trap);
    assert_memory_equal(FakeOutput, "+$PacketSize=2000;", 18);
    assert_non_null(strstr((char *)FakeOutput, "+$1#31"));
}

static void memory_reads_stop_where_memory_does(void **State)
{
    (void)State;
    memcpy(FakeMemory + 0xFFE, "\x12\x34", 2);
    assert_string_equal(Ask("mfffff80000001ffe,2"), "1234");
    assert_string_equal(Ask("mfffff80000001ffe,8"), "1234");
    assert_string_equal(Ask("mfffff80000002000,8"), "E0e");
    assert_string_equal(Ask("m0,8"), "E0e");
    assert_int_equal(strlen(Ask("mfffff80000003000,1000")), GDB_PACKET_SIZE - 2);
    assert_string_equal(Ask("mfffff80000001000"), "E16");
}

static void a_page_of_zeroes_is_short_on_the_line(void **State)
{
    (void)State;
    FakeSession.Link.Longest = 0x1000;
    memset(FakeMemory, 0, 0x1000);
    assert_int_equal(strspn(Ask("mfffff80000001000,1000"), "0"), 0x2000);
    assert_true(FakeOutputLength < 300);
}

static void memory_is_written_as_text_and_as_bytes(void **State)
{
    (void)State;
    assert_string_equal(Ask("Mfffff80000001000,3:616263"), "OK");
    assert_memory_equal(FakeMemory, "abc\x90", 4);
    SendPacket("Xfffff80000001000,4:}\x04}\x03}]\x00", 27);
    Serve(Trap);
    assert_memory_equal(FakeMemory, "$#}\0", 4);
    assert_string_equal(Ask("Mfffff80000001ffe,4:61626364"), "E0e");
    assert_string_equal(Ask("Mfffff80000001000,3:6162"), "E16");
}

static void breakpoints_are_in_memory_but_not_in_what_gdb_reads(void **State)
{
    (void)State;
    assert_int_equal(GdbInsertSoftware(FAKE_BASE + 1), 0);
    assert_int_equal(FakeMemory[1], 0xCC);
    UCHAR Seen[3];
    assert_int_equal(GdbReadMemory(FAKE_BASE, Seen, 3), 3);
    assert_memory_equal(Seen, "\x90\x90\x90", 3);
    assert_true(GdbWriteMemory(FAKE_BASE, (const UCHAR *)"\x01\x02\x03", 3));
    assert_memory_equal(FakeMemory, "\x01\xCC\x03", 3);
    assert_int_equal(GdbRemoveSoftware(FAKE_BASE + 1), 0);
    assert_memory_equal(FakeMemory, "\x01\x02\x03", 3);
    assert_int_equal(GdbInsertSoftware(FAKE_BASE + FAKE_HOLE), GDB_ERROR_MEMORY);
}

static void a_breakpoint_whose_memory_changed_hands_is_not_undone(void **State)
{
    (void)State;
    GdbInsertSoftware(FAKE_BASE);
    FakeMemory[0] = 0x55;
    GdbRemoveAllBreakpoints();
    assert_int_equal(FakeMemory[0], 0x55);
}

static void a_watch_of_any_length_takes_the_registers_it_needs(void **State)
{
    ULONG64 Address;
    (void)State;
    assert_int_equal(GdbInsertHardware(GdbWatchWrite, 0x1003, 6), 0); // 1 + 4 + 1
    assert_int_equal(GdbDebugRegisters.Address[0], 0x1003);
    assert_int_equal(GdbDebugRegisters.Address[1], 0x1004);
    assert_int_equal(GdbDebugRegisters.Address[2], 0x1008);
    assert_int_equal(GdbDebugRegisters.Control, 0x01D1003F);
    assert_int_equal(GdbInsertHardware(GdbWatchAccess, 0x2001, 2), GDB_ERROR_NO_ROOM);
    assert_int_equal(GdbInsertHardware(GdbWatchAccess, 0x2000, 8), 0);
    assert_int_equal(GdbExplainHardware(8, &Address), GdbReasonAccess);
    assert_int_equal(Address, 0x2000);
    assert_int_equal(GdbExplainHardware(2, &Address), GdbReasonWatch);
    assert_int_equal(Address, 0x1004);
    assert_int_equal(GdbExplainHardware(0, &Address), GdbReasonNone);
    assert_int_equal(GdbRemoveHardware(GdbWatchWrite, 0x1003, 6), 0);
    assert_int_equal(GdbDebugRegisters.Control & 0xFF, 0xC0);
    assert_int_equal(GdbInsertHardware(GdbWatchExecute, 0x3001, 1), 0);
    assert_int_equal(GdbExplainHardware(1, &Address), GdbReasonHardware);
}

static void registers_travel_by_number_and_in_bulk(void **State)
{
    (void)State;
    assert_string_equal(Ask("P3=efcdab8967452301"), "OK");
    assert_string_equal(Ask("p3"), "efcdab8967452301");
    assert_string_equal(Ask("p7"), "xxxx");
    assert_string_equal(Ask("P7=0000"), "E16");
    assert_string_equal(Ask("p99"), "E16");
    assert_int_equal(strlen(Ask("g")), 2 * (4 * 8 + 4));
    assert_string_equal(Ask("G0100000000000000xxxxxxxxxxxxxxxx0200000000000000"), "OK");
    assert_int_equal(FakeRegisters[0][0][0], 1);
    assert_int_equal(FakeRegisters[0][2][0], 2);
    assert_int_equal(FakeRegisters[0][3][0], 0xEF);
}

static void a_thread_can_be_chosen(void **State)
{
    (void)State;
    FakeRegisters[1][0][0] = 0x77;
    SendPacket("Hg2", 3);
    SendPacket("p0", 2);
    Serve(Trap);
    assert_non_null(strstr((char *)FakeOutput, "$77"));
    assert_string_equal(Ask("Hg9"), "E16");
    assert_string_equal(Ask("T2"), "OK");
    assert_string_equal(Ask("T3"), "E16");
    assert_string_equal(Ask("qfThreadInfo"), "m1,2");
    assert_string_equal(Ask("qsThreadInfo"), "l");
    assert_string_equal(Ask("qC"), "QC1");
    assert_string_equal(Ask("qThreadExtraInfo,2"), "70726f636573736f722031");
}

static void a_stop_report_says_why(void **State)
{
    GDB_STOP Watch = {
        .Signal = GdbSignalTrap, .Thread = 2, .Reason = GdbReasonWatch, .Address = 0x1234};
    size_t At = 0;
    (void)State;
    SendPacket("qSupported:swbreak+;hwbreak+", 28);
    SendPacket("vCont;c", 7);
    assert_int_equal(Serve(Trap).Action, GdbContinue);
    SendRaw("+", 1);
    Serve(Watch);
    const char *Report = NextAnswer(&At);
    assert_memory_equal(Report, "T051:", 5);
    assert_non_null(strstr(Report, "thread:2;watch:1234;"));
}

static void a_stop_report_is_sent_only_to_who_waits_for_it(void **State)
{
    (void)State;
    SendPacket("c", 1);
    assert_int_equal(Serve(Trap).Action, GdbContinue);
    // That gdb died; a new one begins.
    FakeSession.Link.Frame = GdbFrameNone;
    FakeSession.AwaitsStop = FALSE;
    SendPacket("qAttached", 9);
    Serve(Trap);
    assert_string_equal((char *)FakeOutput, "+$1#31");
}

static void resuming_says_how(void **State)
{
    GDB_RESUME Resume;
    (void)State;
    SendPacket("vCont;r1000,1010:1;c", 20);
    Resume = Serve(Trap);
    assert_int_equal(Resume.Action, GdbStepRange);
    assert_int_equal(Resume.Start, 0x1000);
    assert_int_equal(Resume.End, 0x1010);
    SendRaw("+", 1);
    SendPacket("vCont;C0b", 9);
    Resume = Serve(Trap);
    assert_int_equal(Resume.Action, GdbContinue);
    assert_int_equal(Resume.Signal, GdbSignalSegv);
    SendRaw("+", 1);
    SendPacket("s4321", 5);
    Resume = Serve(Trap);
    assert_int_equal(Resume.Action, GdbStep);
    assert_memory_equal(FakeRegisters[0][3], "\x21\x43", 2);
    SendRaw("+", 1);
    SendPacket("vCont;c:2;s:1", 13);
    Resume = Serve(Trap);
    assert_int_equal(Resume.Action, GdbStep);
    assert_int_equal(Resume.Thread, 1);
}

static void another_processor_can_step_and_a_thread_on_none_says_that_it_cannot(void **State)
{
    size_t At = 0;
    (void)State;
    SendPacket("vCont;s:2;C0b:1;c", 17);
    GDB_RESUME Resume = Serve(Trap);
    assert_int_equal(Resume.Action, GdbStep);
    assert_int_equal(Resume.Thread, 2);
    assert_int_equal(Resume.Signal, GdbSignalSegv); // the first one's
    FakeStepping = 1;
    SendRaw("+", 1);
    SendPacket("vCont;s:2;c", 11);
    SendRaw("+", 1);
    Resume = Serve(Trap);
    FakeStepping = 2;
    assert_int_equal(Resume.Action, GdbVanished);
    NextAnswer(&At); // the report that the first resumption waits for
    assert_memory_equal(NextAnswer(&At), "O4974", 5);
    assert_non_null(strstr(NextAnswer(&At), "thread:2;"));
}

static void a_question_that_comes_twice_is_answered_once(void **State)
{
    (void)State;
    SendRaw("$qAttached#8f$qAttached#8f+$qC#b4+", 34);
    Serve(Trap);
    assert_string_equal((char *)FakeOutput, "+$1#31+$QC1#c5");
}

static void a_question_that_is_asked_again_is_answered_again(void **State)
{
    (void)State;
    SendRaw("$qAttached#8f$qAttached#8f$qAttached#8f+", 40);
    FakePause = Sent + 26;
    Serve(Trap);
    FakePause = NULL;
    assert_string_equal((char *)FakeOutput, "+$1#31+$1#31");
}

static void an_answer_lost_behind_a_forged_acknowledgement_comes_again(void **State)
{
    (void)State;
    SendRaw("$qAttached#8f+-", 15);
    Serve(Trap);
    assert_string_equal((char *)FakeOutput, "+$1#31$1#31");
    SendRaw("$qAttached#8f+$qC#00-", 21); // what this - wants is not known
    Serve(Trap);
    assert_string_equal((char *)FakeOutput, "+$1#31-");
}

static void a_long_answer_that_fails_comes_in_shorter_pieces(void **State)
{
    size_t At = 0;
    (void)State;
    for (size_t i = 0; i < 0x1000; i++)
        FakeMemory[i] = (UCHAR)(i * 7 + i / 256);
    FakeSession.Link.Longest = 0x1000;
    SendRaw("$mfffff80000001000,1000#71-----+", 32);
    Serve(Trap);
    for (size_t Length = 0x1000; Length >= 0x40; Length /= 8)
        assert_int_equal(strlen(NextAnswer(&At)), 2 * Length);
    assert_int_equal(strlen(NextAnswer(&At)), 2 * GDB_SHORTEST);
}

static void without_acknowledgements_a_damaged_packet_is_an_error(void **State)
{
    (void)State;
    SendRaw("$QStartNoAckMode#b0+$qAttached#8e", 33);
    Serve(Trap);
    assert_string_equal((char *)FakeOutput, "+$OK#9a$E54#ae");
}

static void a_packet_without_its_beginning_is_noise_whatever_it_holds(void **State)
{
    (void)State;
    SendRaw("$qAttached#8f", 13);
    SendRaw("X1000,3:-+\3#b0$qAttached#8f", 28); // dropped, it crossed the answer
    SendRaw("+", 1);
    SendRaw("X1000,3:-+\3#b0", 15);
    SendPacket("vCont;c", 7);
    assert_int_equal(Serve(Trap).Action, GdbContinue);
    assert_string_equal((char *)FakeOutput, "+$1#31++");
}

static void pieces_grow_while_they_arrive(void **State)
{
    (void)State;
    for (size_t i = 0; i < FAKE_HOLE; i++)
        FakeMemory[i] = (UCHAR)(i * 7 + i / 256);
    for (size_t Length = GDB_PACKET_SIZE / 16; Length < GDB_PACKET_SIZE / 2; Length *= 2)
        assert_int_equal(strlen(Ask("mfffff80000001000,1000")), 2 * Length);
    assert_int_equal(strlen(Ask("mfffff80000001000,1000")), GDB_PACKET_SIZE - 2);
}

static void a_resumption_is_acknowledged_twice(void **State)
{
    (void)State;
    SendRaw("$vCont;c#a8", 11);
    assert_int_equal(Serve(Trap).Action, GdbContinue);
    assert_string_equal((char *)FakeOutput, "++");
}

static void a_ctrl_c_that_comes_too_late_ends_the_next_resumption(void **State)
{
    (void)State;
    SendRaw("\3", 1);
    assert_memory_equal(Ask("vCont;c"), "T02", 3);
}

static void what_nobody_acknowledges_is_sent_again(void **State)
{
    (void)State;
    FakeSilences = 2;
    SendRaw("$qAttached#8f", 13);
    Serve(Trap);
    assert_string_equal((char *)FakeOutput, "+$1#31$1#31$1#31");
}

static void detaching_leaves_nothing_behind(void **State)
{
    (void)State;
    SendPacket("Z0,fffff80000001001,1", 21);
    SendPacket("Z2,fffff80000001008,8", 21);
    SendPacket("D", 1);
    assert_int_equal(Serve(Trap).Action, GdbDetach);
    assert_int_equal(FakeMemory[1], 0x90);
    assert_int_equal(GdbDebugRegisters.Control, 0);
    assert_false(FakeSession.Attached);
    assert_string_equal(Ask("qAttached"), "1");
}

static void objects_come_in_pieces(void **State)
{
    char Whole[4096] = "", Packet[64];
    (void)State;
    for (unsigned Offset = 0;; Offset += 7) {
        RtlFormat(Packet, sizeof(Packet), "qXfer:features:read:target.xml:%x,7", Offset);
        const char *Piece = Ask(Packet);
        strcat(Whole, Piece + 1);
        if (Piece[0] == 'l')
            break;
        assert_int_equal(Piece[0], 'm');
    }
    assert_string_equal(Whole + strlen(Whole) - 9, "</target>");
    assert_non_null(strstr(Whole, "<reg name=\"st\" bitsize=\"80\" type=\"i387_ext\"/>"));
    assert_string_equal(Ask("qXfer:libraries:read::0,fff"),
                        "l<library-list><library name=\"edu.sys\"/></library-list>");
    assert_string_equal(Ask("qXfer:nothing:read::0,fff"), "");
}

static void monitor_commands_print_on_gdbs_console(void **State)
{
    size_t At = 0;
    (void)State;
    SendPacket("qRcmd,21766d", 12);
    SendRaw("++", 2);
    Serve(Trap);
    assert_string_equal(NextAnswer(&At), "O796f75207361696420");
    assert_string_equal(NextAnswer(&At), "O21766d");
    assert_string_equal(NextAnswer(&At), "OK");
}

static void memory_is_summed_and_searched_here(void **State)
{
    (void)State;
    memcpy(FakeMemory + 0x2F0, "123456789", 9);
    assert_string_equal(Ask("qCRC:fffff800000012f0,9"), "C376e6e7");
    assert_string_equal(Ask("qSearch:memory:fffff80000001000;800;456"), "1,fffff800000012f3");
    assert_string_equal(Ask("qSearch:memory:fffff80000001000;800;654"), "0");
}

static void what_is_not_known_is_answered_by_nothing(void **State)
{
    (void)State;
    assert_string_equal(Ask("vMustReplyEmpty"), "");
    assert_string_equal(Ask("!"), "");
    assert_string_equal(Ask("Z3,1000,4"), "");
}

int main(void)
{
#define TEST(Name) cmocka_unit_test_setup(Name, Fresh)
    const struct CMUnitTest Tests[] = {
        TEST(a_damaged_packet_costs_a_retransmission),
        TEST(a_lost_end_does_not_swallow_the_next_packet),
        TEST(an_answer_is_repeated_until_it_arrives),
        TEST(a_packet_that_is_too_long_is_refused),
        TEST(acknowledgements_can_be_switched_off_and_come_back_with_the_next_gdb),
        TEST(memory_reads_stop_where_memory_does),
        TEST(a_page_of_zeroes_is_short_on_the_line),
        TEST(memory_is_written_as_text_and_as_bytes),
        TEST(breakpoints_are_in_memory_but_not_in_what_gdb_reads),
        TEST(a_breakpoint_whose_memory_changed_hands_is_not_undone),
        TEST(a_watch_of_any_length_takes_the_registers_it_needs),
        TEST(registers_travel_by_number_and_in_bulk),
        TEST(a_thread_can_be_chosen),
        TEST(a_stop_report_says_why),
        TEST(a_stop_report_is_sent_only_to_who_waits_for_it),
        TEST(resuming_says_how),
        TEST(another_processor_can_step_and_a_thread_on_none_says_that_it_cannot),
        TEST(a_question_that_comes_twice_is_answered_once),
        TEST(a_question_that_is_asked_again_is_answered_again),
        TEST(an_answer_lost_behind_a_forged_acknowledgement_comes_again),
        TEST(a_long_answer_that_fails_comes_in_shorter_pieces),
        TEST(without_acknowledgements_a_damaged_packet_is_an_error),
        TEST(a_packet_without_its_beginning_is_noise_whatever_it_holds),
        TEST(pieces_grow_while_they_arrive),
        TEST(a_resumption_is_acknowledged_twice),
        TEST(a_ctrl_c_that_comes_too_late_ends_the_next_resumption),
        TEST(what_nobody_acknowledges_is_sent_again),
        TEST(detaching_leaves_nothing_behind),
        TEST(objects_come_in_pieces),
        TEST(monitor_commands_print_on_gdbs_console),
        TEST(memory_is_summed_and_searched_here),
        TEST(what_is_not_known_is_answered_by_nothing),
    };
    return cmocka_run_group_tests(Tests, NULL, NULL);
}
