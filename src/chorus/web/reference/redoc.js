"use strict";

Redoc.init(
  "v1/openapi.json",
  { hideDownloadButton: false, requiredPropsFirst: true, sortPropsAlphabetically: false },
  document.getElementById("reference"),
);
