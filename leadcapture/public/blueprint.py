"""The blueprint that the pages for patients hang on."""

from flask import Blueprint

blueprint = Blueprint("public", __name__)
