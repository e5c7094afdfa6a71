/** Reason codes as CONNACK and DISCONNECT of each version can say them. */
import { connackReasonCodes } from '../packets/connack.ts'
import { disconnectReasonCodes } from '../packets/disconnect.ts'
import { ConnectReturnCode, ReasonCode } from '../reason-codes.ts'

/**
 * The CONNACK return code that says nearest what a 5.0 reason code says. A refused login is 4, "bad user name or password",
 * in 3.1. In 3.1.1 the same code has that name, and a text which speaks of malformed data; brokers differ, so it is a setting.
 */
export function returnCodeOf(reasonCode: number, version: 3 | 4, refusedLoginCode: 4 | 5 = 4): number {
  switch (reasonCode) {
    case ReasonCode.unsupportedProtocolVersion:
      return ConnectReturnCode.unacceptableProtocolVersion
    case ReasonCode.clientIdentifierNotValid:
      return ConnectReturnCode.identifierRejected
    case ReasonCode.badUserNameOrPassword:
    case ReasonCode.badAuthenticationMethod:
      return version === 3 ? ConnectReturnCode.badUserNameOrPassword : refusedLoginCode
    case ReasonCode.notAuthorized:
    case ReasonCode.banned:
      return ConnectReturnCode.notAuthorized
    default:
      return ConnectReturnCode.serverUnavailable
  }
}

/** A reason that CONNACK may carry [MQTT-3.2.2-8]. */
export function connackCodeOf(reasonCode: number): number {
  return connackReasonCodes.has(reasonCode) ? reasonCode : ReasonCode.unspecifiedError
}

/** A reason that DISCONNECT may carry [MQTT-3.14.2-1]. A second CONNECT, or a re-authentication, may fail for another one. */
export function disconnectCodeOf(reasonCode: number): number {
  if (disconnectReasonCodes.has(reasonCode)) return reasonCode
  return reasonCode === ReasonCode.badUserNameOrPassword ? ReasonCode.notAuthorized : ReasonCode.protocolError
}
