// SPDX-License-Identifier: MIT
// What the model's parts offer each other: its steps (model.c), waits (waits.c), and the comparison
// with the kernel (checks.c).
#pragma once

#include "sim.h"

// ---- model.c ------------------------------------------------------------------------------------
unsigned long model_next_order(void);
ULONG64 model_time(void);             // the interrupt time
SIM_THREAD_STATE *model_current(void); // the thread that runs here

// ---- waits.c ------------------------------------------------------------------------------------
int model_can_consume(const SIM_OBJECT_STATE *object, const SIM_THREAD_STATE *thread);
int model_can_consume_all(const SIM_OP *op, const SIM_THREAD_STATE *thread);
void model_disown(SIM_OBJECT_STATE *mutant);
void model_signal(SIM_OBJECT_STATE *object, LONG increment);
void model_end_wait(SIM_THREAD_STATE *thread, LONG64 status, LONG increment);
void model_give_place(SIM_OBJECT_STATE *queue); // a thread that served it does not any more
void model_insert(SIM_OP *op, int at_head);
void model_run_down(SIM_OP *op);
void model_add_timer(SIM_OBJECT_STATE *timer, ULONG64 due);
int model_has_user_apcs(const SIM_THREAD_STATE *thread);
int model_take_alert(SIM_THREAD_STATE *thread, KPROCESSOR_MODE mode);
void model_wait(SIM_OP *op);
void model_remove(SIM_OP *op); // from a queue

// ---- checks.c -----------------------------------------------------------------------------------
void model_compare(void); // under the dispatcher lock, after a step
