/** Reason codes in words, for error messages. */
import { type ProtocolVersion, ReasonCode } from '@concordmq/protocol'

const WORDS = new Map<number, string>(
  Object.entries(ReasonCode)
    .filter(([, code]) => code >= 0x10)
    .map(([name, code]) => [
      code,
      name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`).replace('qo s', 'QoS'),
    ]),
)

const RETURN_CODES = [
  'accepted',
  'unacceptable protocol version',
  'identifier rejected',
  'server unavailable',
  'bad user name or password',
  'not authorized',
]

/** A reason code in words and figures: `not authorized (0x87)`. */
export function reasonText(reasonCode: number): string {
  const hex = `0x${reasonCode.toString(16).padStart(2, '0').toUpperCase()}`
  const words = reasonCode === 0 ? 'success' : (WORDS.get(reasonCode) ?? 'unknown reason')
  return `${words} (${hex})`
}

/** The code of a refusing CONNACK, in the terms of its version. */
export function connackText(reasonCode: number, version: ProtocolVersion): string {
  if (version === 5) return reasonText(reasonCode)
  return `${RETURN_CODES[reasonCode] ?? 'unknown return code'} (${reasonCode})`
}

const FINAL_5: ReadonlySet<number> = new Set([
  ReasonCode.unsupportedProtocolVersion,
  ReasonCode.clientIdentifierNotValid,
  ReasonCode.badUserNameOrPassword,
  ReasonCode.notAuthorized,
  ReasonCode.banned,
  ReasonCode.badAuthenticationMethod,
  ReasonCode.malformedPacket,
  ReasonCode.protocolError,
  ReasonCode.packetTooLarge,
  ReasonCode.topicNameInvalid,
  ReasonCode.payloadFormatInvalid,
  ReasonCode.retainNotSupported,
  ReasonCode.qosNotSupported,
])

/** Whether the same CONNECT may be accepted later: not after a refusal that concerns its contents. */
export function connackRetryable(reasonCode: number, version: ProtocolVersion): boolean {
  return version === 5 ? !FINAL_5.has(reasonCode) : reasonCode === 3
}

/**
 * Whether to connect again after the server's DISCONNECT. Not after a takeover: two clients with one identifier would throw
 * each other out for ever. Nor when an operator has ended the connection.
 */
export function disconnectRetryable(reasonCode: number): boolean {
  return (
    reasonCode !== ReasonCode.sessionTakenOver &&
    reasonCode !== ReasonCode.administrativeAction &&
    !FINAL_5.has(reasonCode)
  )
}
