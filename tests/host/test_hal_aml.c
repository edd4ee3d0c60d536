// SPDX-License-Identifier: MIT
// Links: kernel/hal/aml.c kernel/hal/amlcode.c kernel/hal/amldata.c kernel/hal/amlfield.c
// Links: kernel/hal/amlname.c kernel/hal/amlop.c kernel/hal/route.c
//
// PCI interrupts by firmware's byte code: the right input where constants and PCI's registers tell,
// and the interrupt line register, never a guess, where they do not.
#include "aml_machine.h"

#include <cmocka.h>
#include <pthread.h>

static UCHAR Code[4096];
static ULONG At;
static ULONG Open[16], OpenCount;

// ---- writing AML --------------------------------------------------------------------------------

static void bytes(const UCHAR *Data, ULONG Length)
{
    memcpy(Code + At, Data, Length);
    At += Length;
}

#define BYTES(...) bytes((const UCHAR[]){__VA_ARGS__}, sizeof((const UCHAR[]){__VA_ARGS__}))

static void text(const char *Text)
{
    bytes((const UCHAR *)Text, (ULONG)strlen(Text));
}

// A block's length has two bytes here, filled in by end().
static void begin(UCHAR Opcode)
{
    if (Opcode >= 0x82 && Opcode <= 0x85)
        BYTES(0x5B);
    BYTES(Opcode, 0x40, 0);
    Open[OpenCount++] = At - 2;
}

static void end(void)
{
    ULONG Start = Open[--OpenCount], Length = At - Start;
    Code[Start] = (UCHAR)(0x40 | (Length & 15));
    Code[Start + 1] = (UCHAR)(Length >> 4);
}

#define SCOPE   0x10
#define METHOD  0x14
#define DEVICE  0x82
#define PACKAGE 0x12
#define BUFFER  0x11
#define IF      0xA0
#define ELSE    0xA1
#define WHILE   0xA2

static void dword(ULONG Value)
{
    BYTES(0x0C, (UCHAR)Value, (UCHAR)(Value >> 8), (UCHAR)(Value >> 16), (UCHAR)(Value >> 24));
}

static void name(const char *Name)
{
    BYTES(0x08);
    text(Name);
}

static void begin_method(const char *Name, UCHAR Arguments)
{
    begin(METHOD);
    text(Name);
    BYTES(Arguments);
}

// \_SB.PCI0, left open.
static void begin_root(const char *Name)
{
    begin(SCOPE);
    text("\\_SB_");
    begin(DEVICE);
    text(Name);
    name("_HID");
    dword(0x030AD041);
}

static void end_root(void)
{
    end();
    end();
}

// An entry with a constant GSI; NULL, or the link device that Source names.
static void entry(UCHAR Device, UCHAR Pin, const char *Source, UCHAR Gsi)
{
    begin(PACKAGE);
    BYTES(4);
    dword((ULONG)Device << 16 | 0xFFFF);
    BYTES(0x0A, Pin);
    if (Source != NULL)
        text(Source);
    else
        BYTES(0x00);
    BYTES(0x0A, Gsi);
    end();
}

static void table(const char *Name, UCHAR Device, UCHAR Pin, const char *Source, UCHAR Gsi)
{
    name(Name);
    begin(PACKAGE);
    BYTES(2);
    entry(31, 3, NULL, 99);
    entry(Device, Pin, Source, Gsi);
    end();
}

// ---- the machine --------------------------------------------------------------------------------

static int empty(void **state)
{
    memset(Code, 0, sizeof(Code));
    At = ACPI_HEADER_LENGTH;
    OpenCount = FunctionCount = 0;
    Mappings = 0;
    return 0;
}

static void add_function(UCHAR Bus, UCHAR Device, UCHAR Pin, UCHAR Behind)
{
    Functions[FunctionCount++] = (FUNCTION){Bus, Device, 0, Pin, 11, Behind, {0}};
}

// The chipset's bridge to ISA, 00:01.0, with what its first routing register holds.
static void add_router(UCHAR Routing)
{
    Functions[FunctionCount++] = (FUNCTION){0, 1, 0, 0, 0, 0, {Routing}};
}

static void finish(void)
{
    assert_int_equal(OpenCount, 0);
    route(Code, At);
    assert_int_equal(Mappings, 0);
}

#define LEVEL_LOW_WIRE (ACPI_ACTIVE_LOW | ACPI_LEVEL)

// ---- tables -------------------------------------------------------------------------------------

static void a_table_of_constants_names_the_input(void **state)
{
    add_function(0, 3, 2, 0);
    add_function(0, 4, 1, 0);
    begin_root("PCI0");
    table("_PRT", 3, 1, NULL, 21);
    end_root();
    finish();
    assert_int_equal(HalQueryPciLine(0, 3, 0), 21);
    assert_int_equal(HalpRouteFlags(21), LEVEL_LOW_WIRE);
    assert_int_equal(HalQueryPciLine(0, 4, 0), 11); // not in the table: its register
}

static void a_function_without_a_pin_has_no_line(void **state)
{
    add_function(0, 3, 0, 0);
    finish();
    assert_int_equal(HalQueryPciLine(0, 3, 0), HAL_NO_LINE);
}

// If (PICF) { Return (APIC) } Else { Return (PICS) }
static void table_by_picf(void)
{
    add_function(0, 3, 1, 0);
    begin_root("PCI0");
    table("PICS", 3, 0, NULL, 5);
    table("APIC", 3, 0, NULL, 18);
    begin_method("_PRT", 0);
    begin(IF);
    BYTES(0x93);
    text("PICF");
    BYTES(0x00, 0xA4);
    text("PICS");
    end();
    begin(ELSE);
    BYTES(0xA4);
    text("APIC");
    end();
    end();
    end_root();
}

// Name (PICF, 0)  Method (_PIC, 1) {Operator (Arg0, Target)}
static void picf(const UCHAR *Operator, ULONG Length, const char *Target)
{
    name("PICF");
    BYTES(0x00);
    begin_method("_PIC", 1);
    bytes(Operator, Length);
    BYTES(0x68);
    text(Target);
    end();
}

static const UCHAR Store[] = {0x70};

static void the_table_is_the_one_for_io_apics(void **state)
{
    picf(Store, sizeof(Store), "PICF");
    table_by_picf();
    finish();
    assert_int_equal(HalQueryPciLine(0, 3, 0), 18);
}

// FromBCD (Arg0, PICF): not carried out, so PICF is not what it was, nor known.
static void what_is_not_carried_out_leaves_its_target_unknown(void **state)
{
    static const UCHAR FromBcd[] = {0x5B, 0x28};
    picf(FromBcd, sizeof(FromBcd), "PICF");
    table_by_picf();
    finish();
    assert_int_equal(HalQueryPciLine(0, 3, 0), 11);
}

// Alias (PICF, MODE), and _PIC sets MODE.
static void an_alias_is_the_object_itself(void **state)
{
    picf(Store, sizeof(Store), "MODE");
    BYTES(0x06);
    text("PICFMODE");
    table_by_picf();
    finish();
    assert_int_equal(HalQueryPciLine(0, 3, 0), 18);
}

// ---- link devices -------------------------------------------------------------------------------

static void begin_link(const char *Name)
{
    begin(DEVICE);
    text(Name);
}

static void a_link_device_is_asked_for_its_setting(void **state)
{
    static const UCHAR Resources[] = {0x89, 6, 0, 0x05, 1, 20, 0, 0, 0, 0x79, 0};
    add_function(0, 3, 1, 0);
    begin_root("PCI0");
    table("_PRT", 3, 0, "LNKA", 0);
    begin_link("LNKA"); // behind the table that names it
    name("_CRS");
    begin(BUFFER);
    BYTES(0x0A, sizeof(Resources));
    bytes(Resources, sizeof(Resources));
    end();
    end();
    end_root();
    finish();
    assert_int_equal(HalQueryPciLine(0, 3, 0), 20);
    assert_int_equal(HalpRouteFlags(20), LEVEL_LOW_WIRE);
}

static void resources_name_interrupts_in_two_forms(void **state)
{
    static const UCHAR Small[] = {0x47, 1, 2, 3, 4, 5, 6, 7, 0x22, 0x00, 0x04, 0x79, 0};
    static const UCHAR Flags[] = {0x23, 0x20, 0x00, 0x18, 0x79, 0};
    static const UCHAR Edge[] = {0x89, 6, 0, 0x03, 1, 17, 0, 0, 0, 0x79, 0};
    HALP_WIRE Wire;
    assert_true(HalpInterruptOfResources(Small, sizeof(Small), &Wire));
    assert_int_equal(Wire.Gsi, 10);
    assert_int_equal(Wire.Flags, ACPI_ACTIVE_HIGH | ACPI_EDGE);
    assert_true(HalpInterruptOfResources(Flags, sizeof(Flags), &Wire));
    assert_int_equal(Wire.Gsi, 5);
    assert_int_equal(Wire.Flags, LEVEL_LOW_WIRE);
    assert_true(HalpInterruptOfResources(Edge, sizeof(Edge), &Wire));
    assert_int_equal(Wire.Gsi, 17);
    assert_int_equal(Wire.Flags, ACPI_ACTIVE_HIGH | ACPI_EDGE);
}

static void resources_that_end_early_name_none(void **state)
{
    static const UCHAR Resources[] = {0x89, 6, 0, 0x05, 1, 20, 0, 0, 0};
    HALP_WIRE Wire;
    for (ULONG Length = 0; Length < sizeof(Resources); Length++) {
        UCHAR *Cut = malloc(Length + 1);
        memcpy(Cut, Resources, Length);
        assert_false(HalpInterruptOfResources(Cut, Length, &Wire));
        free(Cut);
    }
}

// OperationRegion (PIRQ, Space, 0x60, 4), Field (PIRQ, ByteAcc) {PRQA, 8}
static void routing_registers(UCHAR Space)
{
    BYTES(0x5B, 0x80);
    text("PIRQ");
    BYTES(Space, 0x0A, 0x60, 0x0A, 4);
    BYTES(0x5B, 0x81, 11);
    text("PIRQ");
    BYTES(1);
    text("PRQA");
    BYTES(8);
}

#define SPACE_IO  1
#define SPACE_PCI 2

// Device (ISA) {Name (_ADR, 0x10000) and its registers}
static void isa_bridge(UCHAR Space)
{
    begin(DEVICE);
    text("ISA_");
    name("_ADR");
    dword(1u << 16);
    routing_registers(Space);
    end();
}

// If (PRQA) {Return (a buffer with 5)} Return (a buffer with 6)
static void link_by_register(const char *Register)
{
    begin_link("LNKA");
    begin_method("_CRS", 0);
    begin(IF);
    text(Register);
    BYTES(0xA4, 0x11, 9, 0x0A, 6, 0x23, 0x20, 0x00, 0x18, 0x79, 0);
    end();
    BYTES(0xA4, 0x11, 9, 0x0A, 6, 0x23, 0x40, 0x00, 0x18, 0x79, 0);
    end();
    end();
}

// In any other space than PCI's a look may change what is seen.
static void a_setting_that_only_another_register_knows_is_not_guessed(void **state)
{
    add_function(0, 3, 1, 0);
    begin_root("PCI0");
    table("_PRT", 3, 0, "LNKA", 0);
    routing_registers(SPACE_IO);
    link_by_register("PRQA");
    end_root();
    finish();
    assert_int_equal(HalQueryPciLine(0, 3, 0), 11);
}

static void a_setting_is_read_from_the_chipsets_registers(void **state)
{
    for (UCHAR Routing = 0; Routing < 2; Routing++) {
        empty(NULL);
        add_function(0, 3, 1, 0);
        add_router(Routing);
        begin_root("PCI0");
        table("_PRT", 3, 0, "LNKA", 0);
        isa_bridge(SPACE_PCI);
        link_by_register("^^\x2EISA_PRQA");
        end_root();
        finish();
        assert_int_equal(HalQueryPciLine(0, 3, 0), Routing ? 5 : 6);
    }
}

// _PIC (x) {Store (x, PRQA)}: it is not written, and nobody knows what it would hold.
static void a_register_that_was_to_be_written_is_unknown(void **state)
{
    add_function(0, 3, 1, 0);
    add_router(1);
    begin_root("PCI0");
    table("_PRT", 3, 0, "LNKA", 0);
    isa_bridge(SPACE_PCI);
    link_by_register("^^\x2EISA_PRQA");
    end_root();
    begin_method("_PIC", 1);
    BYTES(0x70, 0x68);
    text("\\\x2F\x04_SB_PCI0ISA_PRQA");
    end();
    finish();
    assert_int_equal(HalQueryPciLine(0, 3, 0), 11);
}

// Name (BUFA, ResourceTemplate () {IRQNoFlags ...}), as the BIOSes of PCs have it:
//     CreateWordField (BUFA, 1, IRQ0)  Store (0, IRQ0)
//     ShiftLeft (1, And (PRQA, 15), IRQ0)  Return (BUFA)
static void link_by_shift(const char *Name, BOOLEAN Local)
{
    begin_link(Name);
    if (!Local)
        name("BUFA"), BYTES(0x11, 9, 0x0A, 6, 0x23, 0x01, 0x00, 0x18, 0x79, 0);
    begin_method("_CRS", 0);
    if (Local)
        BYTES(0x70, 0x11, 9, 0x0A, 6, 0x23, 0x01, 0x00, 0x18, 0x79, 0, 0x60);
    BYTES(0x8B);
    Local ? BYTES(0x60) : text("BUFA");
    BYTES(0x01);
    text("IRQ0");
    BYTES(0x70, 0x00);
    text("IRQ0");
    BYTES(0x79, 0x01, 0x7B);
    text("^^\x2EISA_PRQA");
    BYTES(0x0A, 15, 0x00);
    text("IRQ0");
    BYTES(0xA4);
    Local ? BYTES(0x60) : text("BUFA");
    end();
    end();
}

static void a_buffer_that_a_method_fills_in_is_read(void **state)
{
    for (int Local = 0; Local < 2; Local++) {
        empty(NULL);
        add_function(0, 3, 1, 0);
        add_function(0, 4, 1, 0);
        add_function(0, 3, 1, 0);
        add_router(10);
        begin_root("PCI0");
        name("_PRT");
        begin(PACKAGE);
        BYTES(2);
        entry(3, 0, "LNKA", 0);
        entry(4, 0, "LNKB", 0);
        end();
        isa_bridge(SPACE_PCI);
        link_by_shift("LNKA", Local);
        link_by_shift("LNKB", Local);
        end_root();
        finish();
        assert_int_equal(HalQueryPciLine(0, 3, 0), 10);
        assert_int_equal(HalQueryPciLine(0, 4, 0), 10);
        assert_int_equal(HalpRouteFlags(10), LEVEL_LOW_WIRE);
    }
}

// A link device whose _CRS has a buffer with input 5 in Local0, left open.
static void begin_filled_link(void)
{
    add_function(0, 3, 1, 0);
    begin_root("PCI0");
    table("_PRT", 3, 0, "LNKA", 0);
    begin_link("LNKA");
    begin_method("_CRS", 0);
    BYTES(0x70, 0x11, 9, 0x0A, 6, 0x23, 0x20, 0x00, 0x18, 0x79, 0, 0x60);
}

static void end_filled_link(ULONG Line)
{
    end();
    end();
    end_root();
    finish();
    assert_int_equal(HalQueryPciLine(0, 3, 0), Line);
}

// CreateByteField (Local0, 1, MASK)  Alias (MASK, SAME)  Store (8, SAME)
static void a_window_may_have_two_names(void **state)
{
    begin_filled_link();
    BYTES(0x8C, 0x60, 0x01);
    text("MASK");
    BYTES(0x06);
    text("MASKSAME");
    BYTES(0x70, 0x0A, 8);
    text("SAME");
    BYTES(0xA4, 0x60);
    end_filled_link(3);
}

// CreateDWordField (BUFA, 4, ...): four bytes from the fourth of six.
static void a_window_beyond_its_buffer_is_an_end(void **state)
{
    begin_filled_link();
    BYTES(0x8A, 0x60, 0x0A, 4);
    text("MASK");
    BYTES(0xA4, 0x60);
    end_filled_link(11);
}

// Store (Local0, Local1), then a window into Local0: Local1 is what it was.
static void a_copy_of_a_buffer_stays_as_it_was(void **state)
{
    begin_filled_link();
    BYTES(0x8C, 0x60, 0x01);
    text("MASK");
    BYTES(0x70, 0x60, 0x61); // behind the window's opening
    BYTES(0x70, 0x0A, 8);
    text("MASK");
    BYTES(0xA4, 0x61);
    end_filled_link(5);
}

// Store (Package (4) {0, 0, 0, 18}, Local1), its address stored, Store (Local1, Index (Local0, 1)),
// and Local1 changed behind that.
static void a_table_that_a_method_fills_in_is_read(void **state)
{
    add_function(0, 3, 1, 0);
    begin_root("PCI0");
    begin_method("_PRT", 0);
    BYTES(0x70, 0x12, 2, 3, 0x60);
    BYTES(0x70, 0x12, 7, 4, 0x00, 0x00, 0x00, 0x0A, 18, 0x61);
    BYTES(0x70, 0x0C, 0xFF, 0xFF, 3, 0, 0x88, 0x61, 0x00, 0x00);
    BYTES(0x70, 0x61, 0x88, 0x60, 0x01, 0x00);
    BYTES(0x70, 0x0A, 22, 0x88, 0x61, 0x0A, 3, 0x00);
    BYTES(0xA4, 0x60);
    end();
    end_root();
    finish();
    assert_int_equal(HalQueryPciLine(0, 3, 0), 18);
}

// Store (22, Index (APIC, 0)): others see that table too.
static void a_table_with_a_name_that_is_changed_is_not_believed(void **state)
{
    add_function(0, 3, 1, 0);
    begin_root("PCI0");
    table("APIC", 3, 0, NULL, 18);
    begin_method("_PRT", 0);
    BYTES(0x70, 0x0A, 22, 0x88);
    text("APIC");
    BYTES(0x00, 0x00, 0xA4);
    text("APIC");
    end();
    end_root();
    finish();
    assert_int_equal(HalQueryPciLine(0, 3, 0), 11);
}

// ---- buses --------------------------------------------------------------------------------------

static void pins_behind_a_bridge_are_turned(void **state)
{
    add_function(0, 7, 0, 1);
    add_function(1, 6, 3, 0); // pin C (2) + 6 = A (0) of the bridge
    begin_root("PCI0");
    table("_PRT", 7, 0, NULL, 23);
    end_root();
    finish();
    assert_int_equal(HalQueryPciLine(1, 6, 0), 23);
}

static void a_bridge_may_have_a_table_of_its_own(void **state)
{
    add_function(0, 7, 0, 1);
    add_function(1, 0, 1, 0);
    begin_root("PCI0");
    table("_PRT", 7, 0, NULL, 23);
    begin(DEVICE);
    text("RP01");
    name("_ADR");
    dword(7u << 16);
    table("_PRT", 0, 0, NULL, 17);
    end();
    end_root();
    finish();
    assert_int_equal(HalQueryPciLine(1, 0, 0), 17);
}

static void a_second_root_says_its_number(void **state)
{
    add_function(0, 3, 1, 0);
    add_function(64, 3, 1, 0);
    begin_root("PCI0");
    table("_PRT", 3, 0, NULL, 16);
    end_root();
    begin_root("PCI1");
    name("_BBN");
    BYTES(0x0A, 64);
    table("_PRT", 3, 0, NULL, 40);
    end_root();
    finish();
    assert_int_equal(HalQueryPciLine(0, 3, 0), 16);
    assert_int_equal(HalQueryPciLine(64, 3, 0), 40);
}

// ---- code that is none --------------------------------------------------------------------------

// A declaration in a method, which is asked twice: its code is not what is changed.
static void nameless(const UCHAR *Declaration, ULONG Length, ULONG Line)
{
    empty(NULL);
    add_function(0, 3, 1, 0);
    add_function(0, 4, 1, 0);
    begin_root("PCI0");
    name("_PRT");
    begin(PACKAGE);
    BYTES(2);
    entry(3, 0, "LNKA", 0);
    entry(4, 0, "LNKA", 0);
    end();
    begin_link("LNKA");
    begin_method("_CRS", 0);
    BYTES(0x70, 0x11, 9, 0x0A, 6, 0x23, 0x20, 0x00, 0x18, 0x79, 0, 0x60);
    bytes(Declaration, Length);
    BYTES(0xA4, 0x60);
    end();
    end();
    end_root();
    finish();
    assert_int_equal(HalQueryPciLine(0, 3, 0), Line);
    assert_int_equal(HalQueryPciLine(0, 4, 0), Line);
}

#define NAMELESS(Line, ...)                                                                        \
    nameless((const UCHAR[]){__VA_ARGS__}, sizeof((const UCHAR[]){__VA_ARGS__}), Line)

static void a_declaration_without_a_name_declares_nothing(void **state)
{
    NAMELESS(5, 0x08, 0x00, 0x0A, 7);                                 // Name
    NAMELESS(5, 0x14, 4, 0x00, 0x00, 0xCC);                           // Method
    NAMELESS(5, 0x5B, 0x80, 0x00, SPACE_PCI, 0x0A, 0x10, 0x0A, 0x10); // OperationRegion
    NAMELESS(11, 0x8A, 0x60, 0x01, 0x00);                             // CreateDWordField
}

// MTH_ (CreateQWordField (Local1, 0, MTH_)): what is called is what the name meant before.
static void an_argument_may_take_the_methods_name(void **state)
{
    begin_filled_link();
    begin_method("MTH_", 1);
    BYTES(0xA4, 0x00);
    end();
    BYTES(0x70, 0x11, 11, 0x0A, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0x61);
    text("MTH_");
    BYTES(0x8F, 0x61, 0x00);
    text("MTH_");
    BYTES(0xA4, 0x60);
    end_filled_link(5);
}

static void what_is_not_understood_takes_only_its_block_along(void **state)
{
    add_function(0, 3, 1, 0);
    begin(DEVICE);
    text("ODD_");
    BYTES(0x5B, 0xFE, 0xFE);
    end();
    begin_root("PCI0");
    begin(DEVICE);
    text("ODD_");
    BYTES(0xF0);
    end();
    table("_PRT", 3, 0, NULL, 19);
    end_root();
    finish();
    assert_int_equal(HalQueryPciLine(0, 3, 0), 19);
}

static void a_loop_or_call_without_end_ends(void **state)
{
    add_function(0, 3, 1, 0);
    begin_root("PCI0");
    begin_method("_PRT", 0);
    begin(WHILE);
    BYTES(0x01);
    end();
    end();
    end_root();
    begin_method("_PIC", 1);
    text("_PIC");
    BYTES(0x01);
    end();
    finish();
    assert_int_equal(HalQueryPciLine(0, 3, 0), 11);
}

static void *finish_there(void *argument)
{
    finish();
    return NULL;
}

// Index (Index (Index (..., as the target of a Store, on a stack that has no room for all of them.
static void targets_within_each_other_end(void **state)
{
    pthread_attr_t attributes;
    pthread_t thread;
    add_function(0, 3, 1, 0);
    begin_root("PCI0");
    begin_method("_PRT", 0);
    BYTES(0x70, 0x00);
    for (int i = 0; i < 3500; i++)
        BYTES(0x88);
    end();
    end_root();
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 0x40000);
    assert_int_equal(pthread_create(&thread, &attributes, finish_there, NULL), 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    assert_int_equal(HalQueryPciLine(0, 3, 0), 11);
}

static void make_example(void)
{
    empty(NULL);
    add_function(0, 3, 1, 0);
    begin_root("PCI0");
    table("_PRT", 3, 0, NULL, 19);
    end_root();
}

static void code_cut_off_anywhere_is_right_or_nothing(void **state)
{
    make_example();
    for (ULONG Length = ACPI_HEADER_LENGTH; Length < At; Length++) {
        route(Code, Length);
        assert_int_equal(Mappings, 0);
        assert_int_equal(HalQueryPciLine(0, 3, 0), 11);
    }
}

static void damage_anywhere_does_no_harm(void **state)
{
    make_example();
    for (ULONG i = ACPI_HEADER_LENGTH; i < At; i++)
        for (ULONG Bit = 0; Bit < 8; Bit++) {
            Code[i] ^= (UCHAR)(1 << Bit);
            finish();
            Code[i] ^= (UCHAR)(1 << Bit);
        }
}

#define TEST(Name) cmocka_unit_test_setup(Name, empty)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_table_of_constants_names_the_input),
        TEST(a_function_without_a_pin_has_no_line),
        TEST(the_table_is_the_one_for_io_apics),
        TEST(what_is_not_carried_out_leaves_its_target_unknown),
        TEST(an_alias_is_the_object_itself),
        TEST(a_link_device_is_asked_for_its_setting),
        TEST(resources_name_interrupts_in_two_forms),
        TEST(resources_that_end_early_name_none),
        TEST(a_setting_that_only_another_register_knows_is_not_guessed),
        TEST(a_setting_is_read_from_the_chipsets_registers),
        TEST(a_register_that_was_to_be_written_is_unknown),
        TEST(a_buffer_that_a_method_fills_in_is_read),
        TEST(a_window_beyond_its_buffer_is_an_end),
        TEST(a_window_may_have_two_names),
        TEST(a_copy_of_a_buffer_stays_as_it_was),
        TEST(a_table_that_a_method_fills_in_is_read),
        TEST(a_table_with_a_name_that_is_changed_is_not_believed),
        TEST(pins_behind_a_bridge_are_turned),
        TEST(a_bridge_may_have_a_table_of_its_own),
        TEST(a_second_root_says_its_number),
        TEST(a_declaration_without_a_name_declares_nothing),
        TEST(an_argument_may_take_the_methods_name),
        TEST(what_is_not_understood_takes_only_its_block_along),
        TEST(a_loop_or_call_without_end_ends),
        TEST(targets_within_each_other_end),
        TEST(code_cut_off_anywhere_is_right_or_nothing),
        TEST(damage_anywhere_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
