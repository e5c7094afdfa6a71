export { type Admission, certificateDerBytesMax, chainLengthMax } from './bytes/admission.ts'
export { authorityProblem } from './bytes/authority.ts'
export { blockMessages, decodeBlock, encodeBlock, makeBlock } from './bytes/block-codec.ts'
export { Domain, signedBlockBytes, signedBytes } from './bytes/domain.ts'
export { epochProblem, makeEpoch } from './bytes/epoch-record.ts'
export { decodeFrame, encodeFrame, frameHeadBytes, frameLength } from './bytes/frames.ts'
export {
  decodeReconfiguration,
  encodeReconfiguration,
  type Reconfiguration,
  type ReconfigurationContent,
  reconfigurationContent,
  reconfigurationProblem,
  signedReconfigurationBytes,
} from './bytes/reconfiguration.ts'
export type { EngineOptions } from './core/options.ts'
export { RecordKind } from './core/records.ts'
export { defaultTunables, type Tunables } from './core/tunables.ts'
export { Engine } from './engine.ts'
export { type Checkpoint, type CheckpointSignature, readCertificate, type SignatureCheck } from './log/checkpoint.ts'
export {
  type EpochLink,
  epochLinkBytes,
  type Followed,
  followLink,
  keysOfLinks,
  readEpochLink,
} from './log/epoch-chain.ts'
export { type Leaf, leafBytes, messageAt, readLeaf } from './log/leaf.ts'
export { type LogProof, makeProof, type ProofParts, type ProvenBlock, proofText, readProofText } from './log/proof.ts'
export { type ProofAnswer, ProofArchive } from './log/proof-archive.ts'
export { inclusionPath, type NodeName, nodePlace } from './log/tree.ts'
export { type ProofSignature, type ProvenMessage, type VerifiedProof, verifyProof } from './log/verify-proof.ts'
export type { Block, BlockMessage, BlockName, Reference } from './model/block.ts'
export { isUnit, MessageKind } from './model/block.ts'
export { type Constants, constantsFor } from './model/constants.ts'
export type { CertificateClaim, Cryptography } from './model/cryptography.ts'
export type { Alarm, Effect, OrderedBatch, OrderedMessage, ReadRequest, WalRecord } from './model/effect.ts'
export type { BookNode, Epoch, EpochRecord, Operators } from './model/epoch.ts'
export type { Input } from './model/input.ts'
export type { Mode, Status } from './model/status.ts'
export { type Envelope, envelopeBytes, keyBytes, nonceBytes, readEnvelope, shareHash } from './sealed/envelope.ts'
export { splitKey } from './sealed/shamir.ts'
