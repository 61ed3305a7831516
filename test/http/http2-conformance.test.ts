// HTTP/2 as the RFCs have it, chapter by chapter: what a node does about each thing that a client may do, or must not. All chapters meet one
// node. Floods and taking leave have nodes of their own, in http2-conformance/.

import { after } from "node:test";
import { CONNECTS } from "./http2-conformance/connect.ts";
import { FRAME_TYPES } from "./http2-conformance/frame-types.ts";
import { FRAMES } from "./http2-conformance/frames.ts";
import { HEADER_COMPRESSION } from "./http2-conformance/hpack.ts";
import { MESSAGES } from "./http2-conformance/messages.ts";
import { SETTINGS_AND_WINDOWS } from "./http2-conformance/settings-and-windows.ts";
import { STARTING } from "./http2-conformance/starting.ts";
import { STREAMS } from "./http2-conformance/streams.ts";
import { judge, Subject } from "./http2-conformance/suite.ts";

const subject = await Subject.start();
after(() => subject[Symbol.asyncDispose]());

const CHAPTERS = [STARTING, FRAMES, STREAMS, FRAME_TYPES, SETTINGS_AND_WINDOWS, MESSAGES, CONNECTS, HEADER_COMPRESSION];
for (const chapter of CHAPTERS) judge(subject, chapter);
