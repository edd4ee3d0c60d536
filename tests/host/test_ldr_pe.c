// SPDX-License-Identifier: MIT
// Links: kernel/ldr/pe.c kernel/rtl/format.c kernel/rtl/utf.c
//
// The PE reader: a good image is understood, every kind of damage is refused with its reason.
#include "pe_image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

static UCHAR Memory[IMAGE_BYTES];

static PE_IMAGE OpenAndLayOut(TEST_IMAGE *File)
{
    PE_IMAGE Image;

    if (!PeOpen(&Image, File->Bytes, sizeof(File->Bytes)))
        fail_msg("refused: %s", Image.Reason);
    assert_int_equal(Image.Size, IMAGE_BYTES);
    memset(Memory, 0, sizeof(Memory));
    PeCopy(&Image, Memory);
    return Image;
}

static void a_good_image_is_accepted_and_laid_out(void **state)
{
    TEST_IMAGE File;

    ImageBuild(&File);
    File.Bytes[TEXT_RAW + 0x10] = 0xC3;
    OpenAndLayOut(&File);
    assert_int_equal(Memory[TEXT_RVA + 0x10], 0xC3);
    assert_memory_equal(Memory, "MZ", 2);
    assert_int_equal(Memory[BSS_RVA], 0);
}

static void relocation_moves_every_pointer_by_the_distance_of_the_bases(void **state)
{
    TEST_IMAGE File;
    ULONG_PTR Pointer;

    ImageBuild(&File);
    PE_IMAGE Image = OpenAndLayOut(&File);
    assert_true(PeRelocate(&Image, Memory, 0xFFFFF80000200000));
    memcpy(&Pointer, Memory + TEXT_RVA + 0x40, sizeof(Pointer));
    assert_true(Pointer == 0xFFFFF80000200000 + TEXT_RVA);
}

static void an_image_at_its_own_base_needs_no_relocation(void **state)
{
    TEST_IMAGE File;

    ImageBuild(&File);
    ImagePut32(&File, RELOC_RAW + 4, 0); // damaged, and never looked at
    PE_IMAGE Image = OpenAndLayOut(&File);
    assert_true(PeRelocate(&Image, Memory, IMAGE_BASE));
}

static BOOLEAN RecordImport(VOID *Context, const char *Library, const char *Name, ULONG Ordinal,
                            ULONG_PTR *Slot)
{
    char *Text = Context;
    RtlFormat(Text + strlen(Text), 128, "%s!%s#%u ", Library, Name != NULL ? Name : "", Ordinal);
    *Slot = 0x1234;
    return TRUE;
}

static void imports_by_name_and_by_ordinal_are_walked_in_order(void **state)
{
    TEST_IMAGE File;
    char Seen[256] = "";
    ULONG_PTR Slots[3];

    ImageBuild(&File);
    PE_IMAGE Image = OpenAndLayOut(&File);
    assert_true(PeWalkImports(&Image, Memory, RecordImport, Seen));
    assert_string_equal(Seen, "ntoskrnl.exe!DbgPrint#0 ntoskrnl.exe!#7 ");
    memcpy(Slots, Memory + IDATA_RVA + 0xA0, sizeof(Slots));
    assert_true(Slots[0] == 0x1234 && Slots[1] == 0x1234 && Slots[2] == 0);
}

static void exports_are_found_by_name_and_ordinal_and_forwarders_are_refused(void **state)
{
    TEST_IMAGE File;
    BOOLEAN Forwarder;

    ImageBuild(&File);
    OpenAndLayOut(&File);
    assert_true(PeFindExport(Memory, sizeof(Memory), "Real", 0, &Forwarder) ==
                (ULONG_PTR)Memory + TEXT_RVA + 0x20);
    assert_false(Forwarder);
    assert_true(PeFindExport(Memory, sizeof(Memory), NULL, 5, &Forwarder) ==
                (ULONG_PTR)Memory + TEXT_RVA + 0x20);
    assert_true(PeFindExport(Memory, sizeof(Memory), "Forwarded", 0, &Forwarder) == 0);
    assert_true(Forwarder);
    assert_true(PeFindExport(Memory, sizeof(Memory), "Absent", 0, &Forwarder) == 0);
    assert_true(PeFindExport(Memory, sizeof(Memory), NULL, 4, &Forwarder) == 0);
    assert_true(PeFindExport(Memory, sizeof(Memory), NULL, 7, &Forwarder) == 0);
    assert_false(Forwarder);
}

static void every_page_has_the_rights_of_the_sections_in_it(void **state)
{
    static const struct {
        ULONG Offset, Traits;
    } Pages[] = {
        {0, 0},
        {TEXT_RVA, IMAGE_SCN_MEM_EXECUTE},
        {IDATA_RVA, IMAGE_SCN_MEM_WRITE},
        {RELOC_RVA, IMAGE_SCN_MEM_DISCARDABLE},
        {EDATA_RVA, 0},
        {BSS_RVA, IMAGE_SCN_MEM_WRITE},
        {IMAGE_BYTES, 0}, // no section there
    };
    TEST_IMAGE File;

    ImageBuild(&File);
    PE_IMAGE Image = OpenAndLayOut(&File);
    for (ULONG i = 0; i < RTL_NUMBER_OF(Pages); i++)
        assert_int_equal(PePageTraits(&Image, Pages[i].Offset), Pages[i].Traits);
}

// As the XP kit links: everything in a page or two.
static void sections_that_share_a_page_share_its_rights(void **state)
{
    TEST_IMAGE File;
    PE_IMAGE Image;

    ImageBuild(&File);
    ImageHeaders(&File)->OptionalHeader.SectionAlignment = 0x80;
    ImageHeaders(&File)->OptionalHeader.FileAlignment = 0x80;
    ImageHeaders(&File)->OptionalHeader.AddressOfEntryPoint = 0x480;
    for (ULONG i = 0; i < 5; i++)
        ImageSection(&File, i)->VirtualAddress = 0x400 * (i + 1);
    assert_true(PeOpen(&Image, File.Bytes, sizeof(File.Bytes)));
    // Headers, .text, .idata, .reloc in the first page; .edata and .bss in the second.
    assert_int_equal(PePageTraits(&Image, 0), IMAGE_SCN_MEM_EXECUTE | IMAGE_SCN_MEM_WRITE);
    assert_int_equal(PePageTraits(&Image, PAGE_SIZE), IMAGE_SCN_MEM_WRITE);
    ImageSection(&File, 3)->Characteristics |= IMAGE_SCN_MEM_DISCARDABLE;
    assert_int_equal(PePageTraits(&Image, PAGE_SIZE), IMAGE_SCN_MEM_WRITE);
    ImageSection(&File, 4)->Characteristics |= IMAGE_SCN_MEM_DISCARDABLE;
    assert_int_equal(PePageTraits(&Image, PAGE_SIZE),
                     IMAGE_SCN_MEM_WRITE | IMAGE_SCN_MEM_DISCARDABLE);
}

static void every_truncation_is_refused(void **state)
{
    TEST_IMAGE File;
    PE_IMAGE Image;

    ImageBuild(&File);
    for (SIZE_T Length = 0; Length < sizeof(File.Bytes); Length++) {
        UCHAR *Exact = malloc(Length); // so that the sanitizer sees a read past the end
        memcpy(Exact, File.Bytes, Length);
        assert_false(PeOpen(&Image, Exact, Length));
        assert_true(Image.Reason[0] != 0);
        free(Exact);
    }
}

typedef struct _DAMAGE {
    const char *Reason; // what the refusal has to say
    void (*Apply)(TEST_IMAGE *File);
} DAMAGE;

#define DAMAGED(Name, Statement)                                                                   \
    static void Name(TEST_IMAGE *File)                                                             \
    {                                                                                              \
        IMAGE_NT_HEADERS *Headers = ImageHeaders(File);                                            \
        (void)Headers;                                                                             \
        Statement;                                                                                 \
    }
DAMAGED(NoMz, File->Bytes[0] = 'Z')
DAMAGED(FarHeader, ImagePut32(File, 0x3C, 0x7FFFFFF0))
DAMAGED(NegativeHeader, ImagePut32(File, 0x3C, 0x80000000))
DAMAGED(NoPe, Headers->Signature = 0)
DAMAGED(WrongMachine, Headers->FileHeader.Machine = 0x014C)
DAMAGED(ForeignMachine, Headers->FileHeader.Machine = 0xAA64)
DAMAGED(ShortOptional, Headers->FileHeader.SizeOfOptionalHeader = 0x20)
DAMAGED(NoSections, Headers->FileHeader.NumberOfSections = 0)
DAMAGED(ManySections, Headers->FileHeader.NumberOfSections = 97;
        Headers->OptionalHeader.SizeOfHeaders = 0x1400)
DAMAGED(WrongMagic, Headers->OptionalHeader.Magic = 0x10B)
DAMAGED(NotExecutable, Headers->FileHeader.Characteristics = 0)
DAMAGED(WrongSubsystem, Headers->OptionalHeader.Subsystem = 3)
DAMAGED(SmallAlignment, Headers->OptionalHeader.SectionAlignment = 8)
DAMAGED(TwoAlignments, Headers->OptionalHeader.SectionAlignment = 0x80)
DAMAGED(OddAlignment, Headers->OptionalHeader.SectionAlignment = 0x1800)
DAMAGED(NoSize, Headers->OptionalHeader.SizeOfImage = 0)
DAMAGED(AbsurdSize, Headers->OptionalHeader.SizeOfImage = 0xFFFFFFFF)
DAMAGED(HugeHeaders, Headers->OptionalHeader.SizeOfHeaders = 0x10000)
DAMAGED(ManyDirectories, Headers->OptionalHeader.NumberOfRvaAndSizes = 17)
DAMAGED(UnalignedSection, ImageSection(File, 1)->VirtualAddress = 0x2010)
DAMAGED(OverlappingSections, ImageSection(File, 1)->VirtualAddress = TEXT_RVA)
DAMAGED(SectionOverHeaders, ImageSection(File, 0)->VirtualAddress = 0)
DAMAGED(SectionBeyondImage, ImageSection(File, 4)->Misc.VirtualSize = 0x2000)
DAMAGED(SectionWraps, ImageSection(File, 4)->VirtualAddress = 0xFFFFF000)
DAMAGED(SectionBeyondFile, ImageSection(File, 3)->SizeOfRawData = 0x401)
DAMAGED(RawWraps, ImageSection(File, 3)->PointerToRawData = 0xFFFFFE00)
DAMAGED(EntryNowhere, Headers->OptionalHeader.AddressOfEntryPoint = 0x800)
DAMAGED(EntryInData, Headers->OptionalHeader.AddressOfEntryPoint = IDATA_RVA)
DAMAGED(DirectoryBeyond, Headers->OptionalHeader.DataDirectory[1].Size = 0xFFFFFFFF)

static const DAMAGE Damages[] = {
    {"no MZ header", NoMz},
    {"outside the file", FarHeader},
    {"outside the file", NegativeHeader},
    {"no PE signature", NoPe},
    {"built for x86", WrongMachine},
    {"built for ARM64", ForeignMachine},
    {"headers are truncated", ShortOptional},
    {"0 sections", NoSections},
    {"97 sections", ManySections},
    {"magic 0x010B", WrongMagic},
    {"not marked executable", NotExecutable},
    {"subsystem is 3", WrongSubsystem},
    {"alignment is 0x8", SmallAlignment},
    {"0x80 in memory and 0x200 in the file", TwoAlignments},
    {"alignment is 0x1800", OddAlignment},
    {"image size is 0x0", NoSize},
    {"image size is 0xFFFFFFFF", AbsurdSize},
    {"headers reach beyond", HugeHeaders},
    {"17 data directories", ManyDirectories},
    {".idata is not aligned", UnalignedSection},
    {".idata overlaps", OverlappingSections},
    {".text overlaps", SectionOverHeaders},
    {".bss reaches beyond the image", SectionBeyondImage},
    {".bss reaches beyond the image", SectionWraps},
    {".edata reaches beyond the file", SectionBeyondFile},
    {".edata reaches beyond the file", RawWraps},
    {"is in no section", EntryNowhere},
    {"holds no code", EntryInData},
    {"directory 1 reaches beyond", DirectoryBeyond},
};

static void every_kind_of_damage_is_refused_with_its_reason(void **state)
{
    TEST_IMAGE File;
    PE_IMAGE Image;

    for (ULONG i = 0; i < RTL_NUMBER_OF(Damages); i++) {
        ImageBuild(&File);
        Damages[i].Apply(&File);
        assert_false(PeOpen(&Image, File.Bytes, sizeof(File.Bytes)));
        if (strstr(Image.Reason, Damages[i].Reason) == NULL)
            fail_msg("expected '%s', it said '%s'", Damages[i].Reason, Image.Reason);
    }
}

static void damaged_relocations_are_refused(void **state)
{
    static const struct {
        ULONG Offset, Value;
        const char *Reason;
    } Cases[] = {
        {4, 0, "damaged at offset 0x0"}, // would never advance: a cycle
        {4, 7, "damaged at offset 0x0"},
        {4, 16, "damaged at offset 0x0"}, // beyond the table
        {0, 0xFFFFF000, "lies outside the image"},
        {0, IMAGE_BYTES - 0x44, "lies outside the image"},
        {0, 0, "lies outside the image"}, // in the headers
        {8, 0x5040, "type 5"},
    };
    TEST_IMAGE File;

    for (ULONG i = 0; i < RTL_NUMBER_OF(Cases); i++) {
        ImageBuild(&File);
        ImagePut32(&File, RELOC_RAW + Cases[i].Offset, Cases[i].Value);
        PE_IMAGE Image = OpenAndLayOut(&File);
        assert_false(PeRelocate(&Image, Memory, 0x7FF000000000));
        if (strstr(Image.Reason, Cases[i].Reason) == NULL)
            fail_msg("case %u: it said '%s'", i, Image.Reason);
    }
}

static void damaged_imports_are_refused(void **state)
{
    static const struct {
        ULONG Offset, Value;
        const char *Reason;
    } Cases[] = {
        {IDATA_RAW + 0x0C, 0x90000000, "name of an imported library"},
        {IDATA_RAW + 0x00, IMAGE_BYTES, "leave the image"},
        {IDATA_RAW + 0x10, 0xFFFFFFF8, "leave the image"},
        {IDATA_RAW + 0x10, IDATA_RVA + 0xA1, "leave the image"},
        {IDATA_RAW + 0x10, 0x3F0, "leave the image"}, // in the headers
        {IDATA_RAW + 0x80, IMAGE_BYTES - 1, "import's name"},
        {0x80 + FIELD_OFFSET(IMAGE_NT_HEADERS, OptionalHeader.DataDirectory[1].VirtualAddress),
         IMAGE_BYTES - 0x28, "has no end"},
    };
    TEST_IMAGE File;
    char Seen[256];

    for (ULONG i = 0; i < RTL_NUMBER_OF(Cases); i++) {
        ImageBuild(&File);
        ImagePut32(&File, Cases[i].Offset, Cases[i].Value);
        PE_IMAGE Image = OpenAndLayOut(&File);
        if (i == RTL_NUMBER_OF(Cases) - 1) // entries to the last byte, none of which ends the table
            for (ULONG j = IMAGE_BYTES - 0x28; j + 20 <= IMAGE_BYTES; j += 20)
                memcpy(Memory + j, Memory + IDATA_RVA, 20);
        Seen[0] = 0;
        assert_false(PeWalkImports(&Image, Memory, RecordImport, Seen));
        if (strstr(Image.Reason, Cases[i].Reason) == NULL)
            fail_msg("case %u: it said '%s'", i, Image.Reason);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_image_is_accepted_and_laid_out),
        cmocka_unit_test(relocation_moves_every_pointer_by_the_distance_of_the_bases),
        cmocka_unit_test(an_image_at_its_own_base_needs_no_relocation),
        cmocka_unit_test(imports_by_name_and_by_ordinal_are_walked_in_order),
        cmocka_unit_test(exports_are_found_by_name_and_ordinal_and_forwarders_are_refused),
        cmocka_unit_test(every_page_has_the_rights_of_the_sections_in_it),
        cmocka_unit_test(sections_that_share_a_page_share_its_rights),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_kind_of_damage_is_refused_with_its_reason),
        cmocka_unit_test(damaged_relocations_are_refused),
        cmocka_unit_test(damaged_imports_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
