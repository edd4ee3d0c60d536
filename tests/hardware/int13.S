// SPDX-License-Identifier: MIT
// A boot sector that reads the disk it came from by INT 13h, and nothing else. int13.py assembles
// it with SECTORS, a read, and READS, and has every sector of the disk begin with its number.
//
// On COM1: a dot for each read, W for wrong data, E and INT 13h's error, D when done.
    .code16
    .globl  _start
_start:
    ljmp    $0, $1f
1:  xorw    %ax, %ax
    movw    %ax, %ds
    movw    %ax, %ss
    movw    $0x7C00, %sp
    movb    %dl, drive
    sti
next:
    movw    $packet, %si
    movb    drive, %dl
    movb    $0x42, %ah
    int     $0x13
    jc      failed
    movw    buffer+2, %es
    movw    count, %cx
    movl    lba, %ebx
1:  cmpl    %ebx, %es:0
    jne     wrong
    incl    %ebx
    movw    %es, %ax
    addw    $32, %ax
    movw    %ax, %es
    loop    1b
    movl    %ebx, lba
    movb    $'.', %al
    call    put
    cmpl    $(1 + SECTORS * READS), %ebx
    jb      next
    movb    $'D', %al
    jmp     last
wrong:
    movb    $'W', %al
    jmp     last
failed:
    movw    %ax, %bx
    movb    $'E', %al
    call    put
    movb    %bh, %al
    shrb    $4, %al
    call    digit
    movb    %bh, %al
    call    digit
    movb    $'\n', %al
last:
    call    put
1:  hlt
    jmp     1b

digit:
    andb    $15, %al
    addb    $'0', %al
    cmpb    $'9', %al
    jbe     put
    addb    $'A' - '9' - 1, %al
put:
    movw    $0x3F8, %dx
    outb    %al, %dx
    ret

drive:  .byte   0
packet: .byte   16, 0
count:  .word   SECTORS
buffer: .word   0, 0x1000
lba:    .long   1, 0
    .org    510
    .word   0xAA55

    .section .note.GNU-stack, "", @progbits
