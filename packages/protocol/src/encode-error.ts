/**
 * A program asked to send what MQTT cannot carry. This is the one thing this package throws: the mistake is in the
 * calling program, never in what a remote party sent.
 */

export class ProtocolEncodeError extends Error {
  readonly code = 'CMQ_ENCODE'
  override readonly name = 'ProtocolEncodeError'
}

/**
 * Throws a `ProtocolEncodeError`.
 *
 * @param what packet and field with its value, as `PUBLISH topic "a/#"`
 * @param rule what it breaks, with statement, as `contains a wildcard [MQTT-3.3.2-2]`
 * @param remedy what to do, as an imperative
 */
export function cannotEncode(what: string, rule: string, remedy: string): never {
  throw new ProtocolEncodeError(`Cannot encode ${what}: ${rule}; ${remedy}`)
}
