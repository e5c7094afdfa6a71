/**
 * One network connection: the driver around a `ClientConversation`. It reads, steps the machine, hands messages over, writes
 * once per turn of the loop, and keeps one timer. User code is never called from within a step of the machine.
 */
import {
  type AuthPacket,
  type ClientConnectOptions,
  ClientConversation,
  type ClientConversationLimits,
  type ClientEnd,
  type ClientSession,
  type ConnackPacket,
  type Properties,
  type PublishPacket,
  type Refusal,
} from '@concordmq/protocol'
import type { Dial, DialOptions, Transport } from './transport/transport.ts'

/** What a connection tells the client. All but `settled…` may run the program's code. */
export interface ConnectionUser {
  connected(connack: ConnackPacket): void
  /** At QoS 1 and 2 `acknowledge` is to be called once, whenever the program is done. */
  message(packet: PublishPacket, acknowledge: (reasonCode: number) => void): void
  authentication(packet: AuthPacket): void
  settledPublish(operation: number, reasonCode: number, properties: Properties | undefined): void
  settledUncertain(operation: number): void
  settledAnswer(operation: number, reasonCodes: readonly number[], properties: Properties | undefined): void
  settledRefused(operation: number, refusal: Refusal): void
  /** True: to be settled only when its bytes are written. */
  waitsForWriting(operation: number): boolean
  /** The last call. `cause` is the transport's error, if it had one. */
  ended(end: ClientEnd, cause: Error | undefined): void
}

export interface ConnectionOptions {
  readonly session: ClientSession
  readonly connect: ClientConnectOptions
  readonly limits: ClientConversationLimits
  readonly dial: Dial
  readonly to: DialOptions
}

const NO_ACKNOWLEDGEMENT = (): void => {}

/** Pieces up to this size are joined to one write; more than this does not wait for the end of the turn. */
const JOINED_BYTES_MAX = 64 * 1024

export function nowMs(): number {
  return Math.floor(performance.now())
}

export class Connection {
  readonly conversation: ClientConversation
  readonly #user: ConnectionUser
  #transport: Transport | undefined
  #transportClosed = false
  #cause: Error | undefined
  #end: ClientEnd | undefined
  #ended = false
  #connack: ConnackPacket | undefined
  #authentications: AuthPacket[] = []
  #inbox: PublishPacket[] = []
  #dispatching = false
  #reading = true
  #outbox: Uint8Array[] = []
  #outboxBytes = 0
  #written: number[] = []
  #flushScheduled = false
  #timer: ReturnType<typeof setTimeout> | undefined
  #timerMs = Number.POSITIVE_INFINITY

  constructor(options: ConnectionOptions, user: ConnectionUser) {
    this.#user = user
    this.conversation = new ClientConversation(
      options.session,
      options.connect,
      {
        send: (bytes) => this.#send(bytes),
        connected: (connack) => {
          this.#connack = connack
        },
        message: (packet) => {
          this.#inbox.push(packet)
        },
        published: (operation, reasonCode, properties) => {
          if (user.waitsForWriting(operation)) this.#written.push(operation)
          else user.settledPublish(operation, reasonCode, properties)
        },
        uncertain: (operation) => user.settledUncertain(operation),
        answered: (operation, reasonCodes, properties) => user.settledAnswer(operation, reasonCodes, properties),
        refused: (operation, refusal) => user.settledRefused(operation, refusal),
        authentication: (packet) => {
          this.#authentications.push(packet)
        },
        closed: (end) => {
          this.#end = end
        },
      },
      options.limits,
    )
    void this.#open(options)
  }

  /** Steps the machine, then does what it asked for. */
  step(run: (conversation: ClientConversation, nowMs: number) => void): void {
    run(this.conversation, nowMs())
    if (this.#outboxBytes > JOINED_BYTES_MAX) this.#flush()
    if (!this.#dispatching) this.#dispatch()
    this.#arm()
  }

  /** Stops or goes on reading, for a program that is slow. */
  setReading(reading: boolean): void {
    this.#reading = reading
    if (reading) {
      this.conversation.resumeReading(nowMs())
      this.#transport?.resume()
    } else {
      this.conversation.pauseReading()
      this.#transport?.pause()
    }
    if (!this.#dispatching) this.#dispatch()
    this.#arm()
  }

  /** Ends at once, without DISCONNECT. */
  destroy(): void {
    // A conversation that has not begun has no end of its own.
    this.step((conversation) => {
      conversation.connectionLost()
      this.#end ??= { kind: 'lost' }
    })
  }

  async #open({ dial, to }: ConnectionOptions): Promise<void> {
    try {
      const transport = await dial(to, {
        opened: () => this.step((conversation, now) => conversation.connect(now)),
        data: (chunk) => this.step((conversation, now) => conversation.receive(chunk, now)),
        drain: () => this.step((conversation, now) => conversation.resume(now)),
        closed: (error) => this.#onTransportClosed(error),
      })
      this.#transport = transport
      if (this.#ended) transport.destroy()
    } catch (error) {
      this.#onTransportClosed(error instanceof Error ? error : new Error(String(error)))
    }
  }

  #onTransportClosed(error: Error | undefined): void {
    this.#transportClosed = true
    this.#cause ??= error
    this.destroy()
  }

  #dispatch(): void {
    this.#dispatching = true
    try {
      if (this.#connack !== undefined) {
        const connack = this.#connack
        this.#connack = undefined
        this.#user.connected(connack)
        this.conversation.resume(nowMs())
      }
      for (let packet = this.#authentications.shift(); packet !== undefined; packet = this.#authentications.shift()) {
        this.#user.authentication(packet)
      }
      // The machine may be stepped meanwhile, by a handler that publishes; what arrives then is appended.
      const inbox = this.#inbox
      let delivered = 0
      // What came with the last read waits here, too, while the program is slow; but not past the end of the connection.
      while (
        delivered < inbox.length &&
        (this.#reading || this.#end !== undefined || this.#transport?.canPause === false)
      ) {
        this.#deliver(inbox[delivered++] as PublishPacket)
      }
      if (delivered > 0) this.#inbox = inbox.slice(delivered)
    } finally {
      this.#dispatching = false
    }
    if (this.#end !== undefined) this.#finish(this.#end)
  }

  #deliver(packet: PublishPacket): void {
    const { packetId } = packet
    if (packetId === undefined) this.#user.message(packet, NO_ACKNOWLEDGEMENT)
    else {
      this.#user.message(packet, (reasonCode) => {
        this.conversation.acknowledge(packetId, reasonCode, nowMs())
        this.#arm()
      })
    }
  }

  #finish(end: ClientEnd): void {
    if (this.#ended) return
    this.#ended = true
    clearTimeout(this.#timer)
    this.#flush()
    if (!this.#transportClosed) {
      if (end.kind === 'lost' || end.kind === 'timeout') this.#transport?.destroy()
      else this.#transport?.end()
    }
    this.#user.ended(end, this.#cause)
  }

  #send(bytes: Uint8Array): void {
    this.#outbox.push(bytes)
    this.#outboxBytes += bytes.length
    if (this.#flushScheduled) return
    this.#flushScheduled = true
    queueMicrotask(() => this.#flush())
  }

  #flush(): void {
    this.#flushScheduled = false
    const transport = this.#transport
    if (this.#outbox.length === 0) return
    if (transport === undefined) {
      // `opened` may come before the transport has been handed over.
      if (!this.#transportClosed) setTimeout(() => this.#flush())
      return
    }
    const outbox = this.#outbox
    const written = this.#written
    this.#outbox = []
    this.#outboxBytes = 0
    this.#written = []
    if (this.#transportClosed) return this.#settleWritten(written)
    const pieces = joined(outbox)
    const last = pieces.length - 1
    let room = true
    for (let i = 0; i < last; i++) room = transport.write(pieces[i] as Uint8Array)
    const whenWritten = written.length === 0 ? undefined : () => this.#settleWritten(written)
    room = transport.write(pieces[last] as Uint8Array, whenWritten) && room
    if (!room) this.conversation.pause()
  }

  #settleWritten(written: readonly number[]): void {
    for (const operation of written) this.#user.settledPublish(operation, 0, undefined)
  }

  #arm(): void {
    if (this.#ended) return
    const deadlineMs = this.conversation.deadlineMs
    // A timer that fires too early only looks again: activity moves the deadline all the time, the timer stays.
    if (deadlineMs === undefined || deadlineMs >= this.#timerMs) return
    clearTimeout(this.#timer)
    this.#timerMs = deadlineMs
    this.#timer = setTimeout(
      () => {
        this.#timerMs = Number.POSITIVE_INFINITY
        this.step((conversation, now) => conversation.tick(now))
      },
      Math.max(1, deadlineMs - nowMs()),
    )
  }
}

function joined(outbox: readonly Uint8Array[]): readonly Uint8Array[] {
  if (outbox.length === 1) return outbox
  let total = 0
  for (const bytes of outbox) total += bytes.length
  if (total > JOINED_BYTES_MAX) return outbox
  const all = new Uint8Array(total)
  let at = 0
  for (const bytes of outbox) {
    all.set(bytes, at)
    at += bytes.length
  }
  return [all]
}
