/**
 * Errors of the client. The message names the value, the rule and the remedy; `code` is stable and meant for programs.
 */

/** Every code, with what it means: the reference page is made from this table. */
export const CLIENT_ERROR_CODES = {
  CMQ_OPTION: 'An option, URL, topic or property is not valid.',
  CMQ_CONNECT_FAILED: 'The network connection could not be opened.',
  CMQ_CONNECT_REFUSED: 'The server answered CONNECT with a refusal; `reasonCode` says which.',
  CMQ_REDIRECT_LIMIT: 'The server named another server once more than `redirectsMax` allows.',
  CMQ_CONNECTION_LOST: 'The network connection ended and will not be opened again.',
  CMQ_SERVER_DISCONNECTED: 'The server sent DISCONNECT; `reasonCode` says why.',
  CMQ_PROTOCOL_ERROR: 'The server broke the protocol.',
  CMQ_TIMEOUT: 'The server did not answer in time.',
  CMQ_AUTHENTICATION: 'The `authenticate` option failed, or is missing while the server asks for more.',
  CMQ_PUBLISH_REFUSED: 'The message was refused, by the server or because the server has announced that it would.',
  CMQ_SUBSCRIBE_REFUSED: 'The server refused the subscription.',
  CMQ_UNSUBSCRIBE_REFUSED: 'The server refused to end the subscription.',
  CMQ_QUEUE_FULL: 'Too much waits to be sent already.',
  CMQ_SESSION_LOST:
    'A QoS 2 message was in flight when the server lost the session: it may have been published or not.',
  CMQ_CLOSED: 'The client has been closed.',
} as const
export type ClientErrorCode = keyof typeof CLIENT_ERROR_CODES

export interface ClientErrorDetails {
  readonly cause?: unknown
  /** MQTT reason code (5.0) or CONNACK return code (3.1, 3.1.1), where the server gave one. */
  readonly reasonCode?: number
  /** Trying again later may help. */
  readonly retryable?: boolean
}

export class ClientError extends Error {
  override readonly name = 'ClientError'
  readonly code: ClientErrorCode
  readonly reasonCode: number | undefined
  readonly retryable: boolean

  constructor(code: ClientErrorCode, message: string, details: ClientErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.reasonCode = details.reasonCode
    this.retryable = details.retryable ?? false
  }
}
