/** Written into a worker by the build; see `tools/workers.ts`. */
declare const __MANIFEST__: import("./scope").Manifest;
declare const __DEVELOPMENT__: boolean;
