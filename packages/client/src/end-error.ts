/** What the end of a network connection means to the program. */
import type { ClientEnd, ProtocolVersion } from '@concordmq/protocol'
import { ClientError } from './errors.ts'
import { connackRetryable, connackText, disconnectRetryable, reasonText } from './reason-names.ts'

export interface EndContext {
  /** Without credentials. */
  readonly server: string
  readonly version: ProtocolVersion
  readonly wasConnected: boolean
}

export function endError(
  end: Exclude<ClientEnd, { kind: 'left' }>,
  cause: Error | undefined,
  { server, version, wasConnected }: EndContext,
): ClientError {
  const reasonString = 'properties' in end ? end.properties?.reasonString : undefined
  const says = reasonString === undefined ? '' : `, it says "${reasonString}"`
  switch (end.kind) {
    case 'refused': {
      const message = `Cannot connect to ${server}: the server refused, ${connackText(end.reasonCode, version)}${says}`
      const retryable = connackRetryable(end.reasonCode, version)
      return new ClientError('CMQ_CONNECT_REFUSED', message, { reasonCode: end.reasonCode, retryable })
    }
    case 'disconnected': {
      const message = `${server} ended the connection: ${reasonText(end.reasonCode)}${says}`
      const retryable = disconnectRetryable(end.reasonCode)
      return new ClientError('CMQ_SERVER_DISCONNECTED', message, { reasonCode: end.reasonCode, retryable })
    }
    case 'protocolError': {
      const { detail, statement } = end.refusal
      return new ClientError('CMQ_PROTOCOL_ERROR', `${server} broke the protocol: ${detail} [${statement}]`, {
        retryable: wasConnected,
      })
    }
    case 'timeout': {
      const message = `${server} did not answer in time: no ${end.waitedFor}`
      return new ClientError('CMQ_TIMEOUT', message, { retryable: true })
    }
    case 'lost': {
      const why = cause === undefined ? 'it closed the connection' : causeText(cause)
      if (wasConnected)
        return new ClientError('CMQ_CONNECTION_LOST', `Lost the connection to ${server}: ${why}`, {
          cause,
          retryable: true,
        })
      return new ClientError('CMQ_CONNECT_FAILED', `Cannot connect to ${server}: ${why}`, { cause, retryable: true })
    }
  }
}

/** Node reports several addresses tried (`localhost`) as an error with an empty message. */
function causeText(cause: Error): string {
  if (cause instanceof AggregateError) return cause.errors.map((error: unknown) => causeText(error as Error)).join(', ')
  return cause.message
}
