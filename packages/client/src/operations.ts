/** Promises of publications and requests, under the numbers by which the conversation knows them. */
import type { Properties, QoS, Refusal } from '@concordmq/protocol'
import { ClientError, type ClientErrorCode } from './errors.ts'
import { reasonText } from './reason-names.ts'

/** How the server answered a publication. */
export interface PublishAck {
  /** 0 success, 0x10 nobody has subscribed (5.0). Always 0 for QoS 0 and before 5.0. */
  readonly reasonCode: number
  readonly properties?: Properties
}

/** How the server answered SUBSCRIBE or UNSUBSCRIBE. */
export interface Answer {
  readonly reasonCode: number
  readonly properties?: Properties
}

interface Operation {
  /** For error messages: `publish to "a/b"`. */
  readonly what: string
  readonly code: ClientErrorCode
  readonly waitsForWriting: boolean
  resolve(answer: Answer): void
  reject(error: ClientError): void
}

export interface OperationOptions {
  readonly what: string
  readonly code: 'CMQ_PUBLISH_REFUSED' | 'CMQ_SUBSCRIBE_REFUSED' | 'CMQ_UNSUBSCRIBE_REFUSED'
  readonly qos?: QoS
}

export class Operations {
  readonly #open = new Map<number, Operation>()
  #last = 0
  #whenIdle: (() => void)[] = []

  /** Begins an operation; `start` hands its number to the conversation and may be refused at once. */
  begin(options: OperationOptions, start: (operation: number) => Refusal | undefined): Promise<Answer> {
    const number = ++this.#last
    const { what, code, qos } = options
    return new Promise((resolve, reject) => {
      this.#open.set(number, { what, code, waitsForWriting: qos === 0, resolve, reject })
      const refusal = start(number)
      if (refusal === undefined) return
      this.#take(number)
      const remedy = `wait for earlier ones, or raise ${refusal.statement}`
      reject(new ClientError('CMQ_QUEUE_FULL', `Cannot ${what}: ${refusal.detail}; ${remedy}`, { retryable: true }))
    })
  }

  waitsForWriting(operation: number): boolean {
    return this.#open.get(operation)?.waitsForWriting ?? false
  }

  settle(number: number, reasonCode: number, properties: Properties | undefined): void {
    const operation = this.#take(number)
    if (operation === undefined) return
    if (reasonCode < 0x80) operation.resolve(properties === undefined ? { reasonCode } : { reasonCode, properties })
    else {
      const reason = properties?.reasonString === undefined ? '' : `, it says "${properties.reasonString}"`
      const message = `Cannot ${operation.what}: the server answered ${reasonText(reasonCode)}${reason}`
      operation.reject(new ClientError(operation.code, message, { reasonCode }))
    }
  }

  refuse(number: number, refusal: Refusal): void {
    const operation = this.#take(number)
    const { detail, reasonCode, statement } = refusal
    const message = `Cannot ${operation?.what}: ${detail} [${statement}]`
    operation?.reject(new ClientError(operation.code, message, { reasonCode }))
  }

  uncertain(number: number): void {
    const operation = this.#take(number)
    const message = `Cannot say whether "${operation?.what}" succeeded: the server has lost the session in between; publish again only if twice is no harm`
    operation?.reject(new ClientError('CMQ_SESSION_LOST', message))
  }

  /** Everything open fails. */
  failAll(reason: ClientError): void {
    for (const number of [...this.#open.keys()]) {
      const operation = this.#take(number) as Operation
      const message = `Cannot ${operation.what}: ${reason.message}`
      operation.reject(new ClientError(reason.code, message, { cause: reason, retryable: reason.retryable }))
    }
  }

  /** Resolves as soon as nothing is open. */
  idle(): Promise<void> {
    if (this.#open.size === 0) return Promise.resolve()
    return new Promise((resolve) => this.#whenIdle.push(resolve))
  }

  #take(number: number): Operation | undefined {
    const operation = this.#open.get(number)
    this.#open.delete(number)
    if (this.#open.size === 0 && this.#whenIdle.length > 0) {
      const waiting = this.#whenIdle
      this.#whenIdle = []
      for (const resolve of waiting) resolve()
    }
    return operation
  }
}
