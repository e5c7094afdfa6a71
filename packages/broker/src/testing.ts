/** For those who write a part of a broker: the suites that it must pass. Needs no test runner. */
export { type AuthenticatorSubject, authenticatorSuite } from './suites/authenticator-suite.ts'
export type { Case } from './suites/cases.ts'
export { sequencerSuite } from './suites/sequencer-suite.ts'
export { type SessionStoreSubject, sessionStoreSuite } from './suites/session-store-suite.ts'
export { topicStoreSuite } from './suites/topic-store-suite.ts'
