/** The keys about JSON Web Tokens; a part of the list in `keys.ts`. Without one of the three files no token is taken. */
import { integer, oneOf, path, text, texts, yesNo } from './key-types.ts'

const claim = { rule: 'the name of a claim', test: /^.{1,256}$/ }

export const tokenKeys = {
  'jwt.jwks-file': path(
    'JWK Set (JSON) with the public keys that tokens are signed with; read again when it changes',
    'live',
  ),
  'jwt.key-file': path('The same as PEM: public keys or certificates', 'live'),
  'jwt.secret-file': path(
    'Secret of HS256, HS384 and HS512, at least 32 bytes: the first line of a file, or base64 after "base64:"',
    'live',
  ),
  'jwt.algorithms': texts({
    fallback: [],
    about: 'Algorithms that are taken. None: each that fits a key',
    change: 'live',
  }),
  'jwt.issuer': text('a text', /^.{0,1024}$/, {
    fallback: '',
    about: 'The `iss` that tokens must have; empty: any',
    change: 'live',
  }),
  'jwt.audience': text('a text', /^.{0,1024}$/, {
    fallback: '',
    about: 'The `aud` that tokens must have; empty: any',
    change: 'live',
  }),
  'jwt.leeway-seconds': integer(0, 3_600, {
    fallback: 10,
    about: 'By how much clocks may differ, seconds',
    change: 'live',
  }),
  'jwt.require-expiry': yesNo({ fallback: true, about: 'Refuse tokens without `exp`', change: 'live' }),
  'jwt.ends-connection': yesNo({ fallback: true, about: 'End a connection when its token expires', change: 'live' }),
  'jwt.user-claim': text(claim.rule, claim.test, {
    fallback: 'sub',
    about: 'The claim that is the user name',
    change: 'live',
  }),
  'jwt.publish-claim': text(claim.rule, claim.test, {
    fallback: 'publish',
    about: 'The claim that lists the topic filters its holder may publish to',
    change: 'live',
  }),
  'jwt.subscribe-claim': text(claim.rule, claim.test, {
    fallback: 'subscribe',
    about: 'The claim that lists the topic filters its holder may subscribe to',
    change: 'live',
  }),
  'jwt.carried-in': oneOf(['password', 'username'], {
    fallback: 'password',
    about: 'The field of CONNECT that carries the token',
    change: 'live',
  }),
} as const
