/**
 * One PUBLISH that is submitted as a command, and what its publisher is told: at once, or later in its place behind the answers
 * to earlier packets. An object in place of closures, since there is one for each retained message.
 */
import type { PublishRun, QoS } from '@concordmq/protocol'
import type { Connection } from '../connections/connection.ts'
import { PUBACK, PUBREC } from '../connections/first-bytes.ts'
import type { Route } from '../routing/route-table.ts'

export class Exchange {
  readonly from: Connection
  readonly route: Route<Connection>
  readonly qos: QoS
  readonly dup: boolean
  readonly packetId: number
  /** The publisher was told, or is not to be. */
  answered = false
  /** Place of the answer, once it has to wait. */
  #ticket = -1

  /** Of the only message of a run. */
  constructor(from: Connection, run: PublishRun, route: Route<Connection>) {
    this.from = from
    this.route = route
    this.qos = run.qos
    this.dup = run.dup
    this.packetId = run.qos > 0 ? run.packetId(0) : 0
  }

  /** Submitted: unless it is answered already, its answer has its place now. */
  submitted(): void {
    if (!this.answered && this.qos > 0) this.#ticket = this.from.reserveAnswer()
  }

  /** PUBACK or PUBREC; QoS 0 has no answer. */
  answer(reasonCode: number): void {
    this.answered = true
    if (this.qos > 0) this.from.answer(this.#ticket, this.qos === 1 ? PUBACK : PUBREC, this.packetId, reasonCode)
  }

  /** There is nothing to be told. */
  giveUp(): void {
    this.answered = true
    if (this.qos > 0) this.from.answer(this.#ticket, 0, this.packetId, 0)
  }
}
